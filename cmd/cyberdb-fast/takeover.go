package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/persist"
)

// Suffixes of the files next to an imported data file: the old one, and the new one while it is
// being written.
const (
	oldSuffix = ".cyberdb"
	newSuffix = ".taken"
)

// takeOver converts the data file if CyberDB wrote it. The old file stays next to it, under another
// name; until the new one is complete, it stays where it is.
func takeOver(path string, classes legacy.Classes, bar progressBar, log *slog.Logger) error {
	fresh, kept := path+newSuffix, path+oldSuffix
	// a start was interrupted between two renames, on a file system without hard links
	if !exists(path) && exists(fresh) && exists(kept) {
		return putFresh(fresh, path)
	}
	if is, err := isOldFile(path); err != nil || !is {
		return err
	}
	// A start that was interrupted may have left one.
	if _, err := persist.RemoveAbandoned(persist.OS, filepath.Dir(path), persist.ID{}, fresh); err != nil {
		return fmt.Errorf("cannot import %s: %w", path, err)
	}
	summary, err := importFile(path, fresh, classes, fileProgress("importing", bar))
	if err != nil {
		return err
	}
	if err := keepOld(path, kept); err != nil {
		return fmt.Errorf("cannot import %s: %w", path, err)
	}
	if err := putFresh(fresh, path); err != nil {
		return err
	}
	log.Info("imported a data file of CyberDB", slog.String("file", path), slog.String("kept", kept))
	// with the current names of the files
	summary = strings.NewReplacer(fresh, path, path, kept).Replace(summary)
	for line := range strings.Lines(summary) {
		log.Info(strings.TrimSpace(line))
	}
	return nil
}

// isOldFile reports whether CyberDB wrote the file.
func isOldFile(path string) (bool, error) {
	head, err := headOf(path)
	if err != nil {
		return false, nil //nolint:nilerr // loading the file reports the error
	}
	return legacy.IsFile(head), nil
}

// putFresh renames the new file to the data file's name.
func putFresh(fresh, path string) error {
	if err := errors.Join(os.Rename(fresh, path), persist.OS.SyncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("cannot import %s: %w", path, err)
	}
	return nil
}

// keepOld gives the file a second name, unless it has that already. On a file system without hard
// links it renames the file.
func keepOld(path, kept string) error {
	if _, err := os.Lstat(kept); errors.Is(err, fs.ErrNotExist) {
		if os.Link(path, kept) == nil {
			return nil
		}
		return os.Rename(path, kept)
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
		return fmt.Errorf("%s exists: move it away", kept)
	}
	return nil
}
