package main

import (
	"errors"
	"fmt"
	"os"
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
which ends in .cdb. Its path is relative to the data directory.`,
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
		long: `Has the server of the data directory load all tables of the file NAME, which ends in .cdb. Its
path is relative to the data directory.`,
		least:   1,
		most:    1,
		control: true,
		run:     func(r *remote, args []string) error { return r.file("load", args[0], replace) },
	}, stdout, stderr)
	cmd.Flags().BoolVar(&replace, "replace", false, "replace all tables of the server")
	return cmd
}

// replaceFlag writes the flag instead of the words for it on the control socket.
var replaceFlag = strings.NewReplacer(
	`unless the request says "replace":true`, "unless --replace is given", `say "replace":true`, "use --replace",
)

// file has the server save to a file or load it, and says what the file holds.
func (r *remote) file(do, path string, replace bool) error {
	answer, err := r.ask(map[string]any{"do": do, "path": path, "replace": replace})
	if err != nil {
		return errors.New(replaceFlag.Replace(err.Error()))
	}
	_, err = fmt.Fprintf(r.stdout, "%s: %d tables, %s entries, %s bytes in %.3f s\n", answer.File, answer.Tables,
		grouped(answer.Entries), grouped(uint64(answer.Bytes)), answer.Seconds)
	return err
}
