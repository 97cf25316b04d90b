package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cyberdb-fast/persist"
)

// partialFile is the name of a copy until every byte of it has been read.
const partialFile = "partial.cdb"

// backupPatience is how long an interrupted backup waits for the server to end its save.
const backupPatience = 2 * time.Second

func newBackupCommand(stdout, stderr *os.File) *cobra.Command {
	return newRemoteCommand(remoteCommand{
		use:   "backup DIR",
		short: "Make a verified copy that a server can start from",
		long: `Has the server of the data directory save its tables to a file in DIR, reads every byte of it,
prints its digest, and calls it data.cdb then. DIR is new or empty; otherwise the exit code is 2. A
server starts from the copy with --dir DIR. If anything else fails, or with Ctrl-C, nothing is left in
DIR, and the exit code is 1.`,
		least:   1,
		most:    1,
		control: true,
		run:     func(r *remote, args []string) error { return r.backup(args[0]) },
	}, stdout, stderr)
}

// backup makes a verified copy of the tables in a directory that is new or empty.
func (r *remote) backup(dir string) (err error) {
	if dir, err = absolute(dir); err != nil {
		return err
	}
	made, err := makeEmpty(dir)
	if err != nil {
		return err
	}
	copied := filepath.Join(dir, partialFile)
	defer func() {
		if err != nil {
			err = fmt.Errorf("backup: %w", err)
			removeCopy(copied)
			if made {
				_ = os.Remove(dir) // only if it is empty
			}
		}
	}()
	if err := r.saveCopy(copied); err != nil {
		return err
	}
	digest, err := r.verifyCopy(copied)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(r.stdout, digest); err != nil {
		return err
	}
	return putCopy(copied, filepath.Join(dir, defaultFile))
}

// saveCopy has the server save to a file. After an interruption the server has some time to end
// that, so that nothing is left of it.
func (r *remote) saveCopy(file string) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	defer cancel()
	stop := context.AfterFunc(r.ctx, func() { time.AfterFunc(backupPatience, cancel) })
	defer stop()
	_, err := r.control(ctx, map[string]any{"do": "save", "path": file})
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: the server may still write %s", file)
	case r.ctx.Err() != nil:
		return errors.New("interrupted")
	}
	return err
}

// verifyCopy reads every byte of a copy, and returns the line with its digest.
func (r *remote) verifyCopy(file string) (string, error) {
	var digest strings.Builder
	done := make(chan error, 1)
	go func() { done <- printDigest(file, &digest, loadProgress(onTerminal(r.stderr))) }()
	select {
	case <-r.ctx.Done():
		return "", errors.New("interrupted")
	case err := <-done:
		if err != nil {
			return "", fmt.Errorf("the copy cannot be used: %w", err)
		}
	}
	return digest.String(), nil
}

// putCopy gives a verified copy its name, which is on disk then.
func putCopy(copied, file string) error {
	dir := filepath.Dir(file)
	return errors.Join(
		persist.RenameNew(persist.OS, copied, file), persist.OS.SyncDir(dir), persist.OS.SyncDir(filepath.Dir(dir)),
	)
}

// removeCopy removes all that a save has left, and makes one fail that has not ended.
func removeCopy(file string) {
	for _, name := range []string{file, persist.PartName(file), persist.LockName(file)} {
		_ = os.Remove(name) // most of them are not there
	}
}

// makeEmpty makes a directory, unless it exists and is empty; made says which.
func makeEmpty(dir string) (made bool, err error) {
	err = os.Mkdir(dir, 0o700)
	if err == nil || !errors.Is(err, os.ErrExist) {
		return err == nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	switch {
	case len(names) > 0:
		return false, usageError(fmt.Errorf("backup: %s is not empty: name a directory that is new or empty", dir))
	case err != nil && !errors.Is(err, io.EOF):
		return false, err
	}
	return false, nil
}
