package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
)

// newCLICommand returns the shell.
func newCLICommand(stdout, stderr *os.File) *cobra.Command {
	var statements []string
	cmd := newRemoteCommand(remoteCommand{
		use:   "cli [URL] [-e STATEMENTS] [--json]",
		short: "Open a shell in Python's syntax",
		long: `Opens a shell in Python's syntax:

    users = dict("users")
    users["ada"] = {"age": 36}
    users["ada"]["age"], len(users), "bob" in users

Nothing is executed as code. .help lists the methods of tables and the commands of the shell.
With -e, or if standard input is no terminal, it executes statements, prints the repr of each
expression, and ends at the first error. Exit codes: 0 done, 1 failed, 2 not understood.`,
		most: 0,
		json: true,
		run: func(r *remote, _ []string) error {
			db, err := r.open()
			if err != nil {
				return err
			}
			defer db.Close()
			options := shell.Options{JSON: r.json, Timeout: r.timeout, Password: r.secret, Explain: r.explain}
			s := shell.New(db, r.stdout, options)
			if statements == nil && term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(r.stdout.Fd())) {
				return r.talk(db, s)
			}
			if statements == nil {
				return r.explainScript(s.Script(r.ctx, os.Stdin))
			}
			return r.explainScript(s.Script(r.ctx, strings.NewReader(strings.Join(statements, "\n"))))
		},
	}, stdout, stderr)
	cmd.Flags().StringArrayVarP(&statements, "execute", "e", nil,
		"execute `statements`, separated by ; or line ends, instead of reading standard input")
	return cmd
}

// talk opens the shell on the terminal.
func (r *remote) talk(db *client.Client, s *shell.Shell) error {
	ctx, cancel := r.within()
	info, err := db.Info(ctx)
	cancel()
	if err != nil {
		return errors.New(r.explain(err))
	}
	fmt.Fprintf(r.stdout, "cyberdb-fast %v: .help, or Ctrl-D to end\n", info["version"])
	r.stop() // in the shell, Ctrl-C ends a statement
	return s.Interactive(context.Background(), os.Stdin, r.stdout)
}

// explainScript prints why a script has ended: for text that cannot be parsed, with a caret.
func (r *remote) explainScript(err error) error {
	var parse *syntax.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &parse):
		const width = 80
		fmt.Fprintf(r.stderr, "line %d:\n%s\n", parse.Line, parse.Pointed(width))
		if parse.Kind != "SyntaxError" {
			return exitWith(exitFailed)
		}
		return exitWith(exitUsage)
	}
	fmt.Fprintln(r.stderr, r.explain(err))
	return exitWith(exitFailed)
}
