package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"

	"cyberdb-fast/persist"
)

// startProfile writes a CPU profile to path until stop is called. An empty path means no profile.
func startProfile(path string, log *slog.Logger) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	_, err = persist.Resolve(path)
	if err != nil {
		return nil, fmt.Errorf("--cpu-profile: %w", err)
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("--cpu-profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("--cpu-profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		if err := file.Close(); err != nil {
			log.Error("the CPU profile is incomplete", slog.Any("error", err))
		}
	}, nil
}
