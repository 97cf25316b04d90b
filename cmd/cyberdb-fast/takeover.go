package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/persist"
)

// Beside a data file that is taken over: the old one, and the new one while it is being made.
const (
	oldSuffix = ".cyberdb"
	newSuffix = ".taken"
)

// takeOver makes the data file one of this server's if CyberDB wrote it. The old file stays beside it, under a name of its own; until the new one
// is whole it stays where it is.
func takeOver(path string, classes legacy.Classes, bar progressBar, log *slog.Logger) error {
	if is, err := isOldFile(path); err != nil || !is {
		return err
	}
	fresh, kept := path+newSuffix, path+oldSuffix
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a start that was cut short
		return fmt.Errorf("cannot take over %s: %w", path, err)
	}
	summary, err := importFile(path, fresh, classes, fileProgress("taking over", bar))
	if err != nil {
		return err
	}
	if err := keepOld(path, kept); err != nil {
		return fmt.Errorf("cannot take over %s: %w", path, err)
	}
	if err := errors.Join(os.Rename(fresh, path), persist.OS.SyncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("cannot take over %s: %w", path, err)
	}
	log.Info("took over a data file of CyberDB", slog.String("file", path), slog.String("kept", kept))
	summary = strings.NewReplacer(fresh, path, path, kept).Replace(summary) // by the names that the files have now
	for line := range strings.Lines(summary) {
		log.Info(strings.TrimSpace(line))
	}
	return nil
}

// isOldFile says whether CyberDB wrote the file.
func isOldFile(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, nil //nolint:nilerr // whoever loads the file says what is wrong with it
	}
	defer func() { _ = f.Close() }() // only read
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("cannot read the data file: %w: choose another with --file or --dir", err)
	}
	return legacy.IsFile(head[:n]), nil
}

// keepOld gives the file a second name, unless it has that already.
func keepOld(path, kept string) error {
	err := os.Link(path, kept)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	one, err := os.Stat(path)
	if err != nil {
		return err
	}
	other, err := os.Stat(kept)
	if err != nil {
		return err
	}
	if !os.SameFile(one, other) {
		return fmt.Errorf("%s is there already: move it away", kept)
	}
	return nil
}
