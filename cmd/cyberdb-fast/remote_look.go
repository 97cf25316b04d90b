package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cyberdb-fast/cmd/cyberdb-fast/shell/views"
)

// newLookCommands returns the commands that show what the server has and does.
func newLookCommands(stdout, stderr *os.File) []*cobra.Command {
	return []*cobra.Command{
		newRemoteCommand(remoteCommand{
			use: "info [URL] [SECTION] [--json]", short: "Print the server's figures, or a section of INFO",
			most: 1, json: true,
			run: func(r *remote, args []string) error {
				section := ""
				if len(args) == 1 {
					section = args[0]
				}
				return r.show(func(v *views.View) error { return v.Info(r.ctx, section) })
			},
		}, stdout, stderr),
		newViewCommand("tables [URL] [--json]", "List the tables", (*views.View).Tables, stdout, stderr),
		newViewCommand("hot [URL] [--json]", "Show the keys that are used most", (*views.View).Hot, stdout, stderr),
		newViewCommand(
			"slow [URL] [--json]",
			"Show slow requests, and large requests and replies",
			(*views.View).Slow,
			stdout,
			stderr,
		),
		newStatCommand(stdout, stderr),
		newTailCommand(stdout, stderr),
	}
}

// newViewCommand returns a command that shows one view.
func newViewCommand(
	use, short string,
	show func(v *views.View, ctx context.Context) error,
	stdout, stderr *os.File,
) *cobra.Command {
	return newRemoteCommand(remoteCommand{
		use: use, short: short, json: true,
		run: func(r *remote, _ []string) error {
			return r.show(func(v *views.View) error { return show(v, r.ctx) })
		},
	}, stdout, stderr)
}

func newStatCommand(stdout, stderr *os.File) *cobra.Command {
	count := 0
	cmd := newRemoteCommand(remoteCommand{
		use:   "stat [URL] [--count N] [--json]",
		short: "Print a line each second: operations, hits, memory and more",
		json:  true,
		run: func(r *remote, _ []string) error {
			if count < 0 {
				return usageError(errors.New("--count: needs a number of lines, or 0 for no end"))
			}
			return r.show(func(v *views.View) error { return v.Stat(r.ctx, count) })
		},
	}, stdout, stderr)
	cmd.Flags().IntVarP(&count, "count", "n", 0, "end after this `number` of lines; 0: with Ctrl-C")
	return cmd
}

func newTailCommand(stdout, stderr *os.File) *cobra.Command {
	var least float64
	cmd := newRemoteCommand(remoteCommand{
		use:   "tail [URL] [TABLE] [--min-ms N] [--json]",
		short: "Print requests while they are executed",
		most:  1, json: true,
		run: func(r *remote, args []string) error {
			const longest = 1e9
			if !(least >= 0 && least <= longest) {
				return usageError(errors.New("--min-ms: needs a number of milliseconds"))
			}
			filter := views.TailFilter{Least: time.Duration(least * float64(time.Millisecond))}
			if len(args) == 1 {
				filter.Table = args[0]
			}
			return r.show(func(v *views.View) error { return v.Tail(r.ctx, filter) })
		},
	}, stdout, stderr)
	cmd.Flags().Float64Var(&least, "min-ms", 0, "only requests that took this `number` of milliseconds")
	return cmd
}
