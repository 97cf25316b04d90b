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

// Beside a data file that is taken over: the old one, and the new one while it is being made.
const (
	oldSuffix = ".cyberdb"
	newSuffix = ".taken"
)

// takeOver makes the data file one of this server's if CyberDB wrote it. The old file stays beside
// it, under a name of its own; until the new one is whole it stays where it is.
func takeOver(path string, classes legacy.Classes, bar progressBar, log *slog.Logger) error {
	fresh, kept := path+newSuffix, path+oldSuffix
	// a start was cut short between two names, without hard links
	if !exists(path) && exists(fresh) && exists(kept) {
		return putFresh(fresh, path)
	}
	if is, err := isOldFile(path); err != nil || !is {
		return err
	}
	// A start that was cut short may have left one.
	if _, err := persist.RemoveAbandoned(persist.OS, filepath.Dir(path), persist.ID{}, fresh); err != nil {
		return fmt.Errorf("cannot take over %s: %w", path, err)
	}
	summary, err := importFile(path, fresh, classes, fileProgress("taking over", bar))
	if err != nil {
		return err
	}
	if err := keepOld(path, kept); err != nil {
		return fmt.Errorf("cannot take over %s: %w", path, err)
	}
	if err := putFresh(fresh, path); err != nil {
		return err
	}
	log.Info("took over a data file of CyberDB", slog.String("file", path), slog.String("kept", kept))
	// by the names that the files have now
	summary = strings.NewReplacer(fresh, path, path, kept).Replace(summary)
	for line := range strings.Lines(summary) {
		log.Info(strings.TrimSpace(line))
	}
	return nil
}

// isOldFile says whether CyberDB wrote the file.
func isOldFile(path string) (bool, error) {
	head, err := headOf(path)
	if err != nil {
		return false, nil //nolint:nilerr // whoever loads the file says what is wrong with it
	}
	return legacy.IsFile(head), nil
}

// putFresh gives the new file the data file's name.
func putFresh(fresh, path string) error {
	if err := errors.Join(os.Rename(fresh, path), persist.OS.SyncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("cannot take over %s: %w", path, err)
	}
	return nil
}

// keepOld gives the file a second name, unless it has that already. On a file system without hard
// links the file then has that name alone.
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
		return fmt.Errorf("%s is there already: move it away", kept)
	}
	return nil
}
