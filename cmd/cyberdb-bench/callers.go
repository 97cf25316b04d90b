package main

import (
	"context"
	"errors"

	"cyberdb-fast/bench"
	"cyberdb-fast/bench/goclient"
)

// runCallers measures the Go client.
func runCallers(ctx context.Context, o bench.Options, goroutines int) (_ *bench.Report, err error) {
	if o.Target.Scheme != bench.SchemeNative {
		return nil, usagef("--callers drives the Go client: give it a cyberdb target, not %s", o.Target)
	}
	library, end, err := goclient.Open(&o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	return bench.RunCallers(ctx, o, goroutines, library)
}
