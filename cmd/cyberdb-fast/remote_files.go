package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// newFileCommands returns the commands with which the server writes and reads files. They go by the
// control socket alone: a client of the database names no file.
func newFileCommands(stdout, stderr *os.File) []*cobra.Command {
	return []*cobra.Command{
		newSaveCommand(stdout, stderr), newLoadCommand(stdout, stderr), newBackupCommand(stdout, stderr),
	}
}

func newSaveCommand(stdout, stderr *os.File) *cobra.Command {
	replace := false
	cmd := newRemoteCommand(remoteCommand{
		use:   "save [NAME] [--replace]",
		short: "Have the server save its tables",
		long: `Has the server of the data directory save its tables now: to its own file, or to the file NAME,
which ends in .cdb and is in the data directory unless it is an absolute path.`,
		most:    1,
		control: true,
		run: func(r *remote, args []string) error {
			return r.file("save", strings.Join(args, ""), replace)
		},
	}, stdout, stderr)
	cmd.Flags().BoolVar(&replace, "replace", false, "overwrite the file of another database")
	return cmd
}

func newLoadCommand(stdout, stderr *os.File) *cobra.Command {
	replace := false
	cmd := newRemoteCommand(remoteCommand{
		use:   "load NAME [--replace]",
		short: "Have the server load the tables of a file",
		long: `Has the server of the data directory load all tables of the file NAME, which ends in .cdb and is
in the data directory unless it is an absolute path.`,
		least:   1,
		most:    1,
		control: true,
		run:     func(r *remote, args []string) error { return r.file("load", args[0], replace) },
	}, stdout, stderr)
	cmd.Flags().BoolVar(&replace, "replace", false, "replace all tables of the server")
	return cmd
}

// file has the server save to a file or load it, and says what the file holds.
func (r *remote) file(do, path string, replace bool) error {
	answer, err := r.ask(map[string]any{"do": do, "path": path, "replace": replace})
	if err != nil && answer != nil && !replace && strings.Contains(err.Error(), `"replace":true`) {
		return fmt.Errorf("%w; that is --replace here", err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.stdout, "%s: %d tables, %s entries, %s bytes in %.3f s\n", answer.File, answer.Tables,
		grouped(answer.Entries), grouped(uint64(answer.Bytes)), answer.Seconds)
	return err
}

func newBackupCommand(stdout, stderr *os.File) *cobra.Command {
	return newRemoteCommand(remoteCommand{
		use:   "backup DIR",
		short: "Make a verified copy that a server can start from",
		long: `Has the server of the data directory save its tables to DIR/data.cdb, reads every byte of it, and
prints its digest. DIR is new or empty. A server starts from the copy with --dir DIR. If anything
fails, nothing is left in DIR, and the exit code is 1.`,
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
	file := filepath.Join(dir, defaultFile)
	defer func() {
		if err != nil {
			_ = os.Remove(file)
			if made {
				_ = os.Remove(dir) // only if it is empty
			}
		}
	}()
	if _, err := r.ask(map[string]any{"do": "save", "path": file}); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := printDigest(file, r.stdout, loadProgress(onTerminal(r.stderr))); err != nil {
		return fmt.Errorf("backup: the copy cannot be used: %w", err)
	}
	return nil
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
