package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
)

const wordsHelp = `
KEY and VALUE are Python literals: 36, 'text', b'bytes', ("a", 1), {"age": 36}. A word that is no
literal is a text: ada is 'ada'. Write -- before a word that begins with -. If TABLE is a list, KEY is
an index.`

// newItemCommands returns the commands that read and change one item of a table.
func newItemCommands(stdout, stderr *os.File) []*cobra.Command {
	get := newRemoteCommand(remoteCommand{
		use:   "get [URL] TABLE KEY [--json]",
		short: "Print the value of a key",
		long:  "Prints the repr of the value of a key. A missing key is a KeyError and exit code 1." + wordsHelp,
		least: 2,
		most:  2,
		json:  true,
		run: func(r *remote, args []string) error {
			return r.item(args[0], func(ctx context.Context, item *eval.Item) error {
				val, err := item.Get(ctx, eval.Word(args[1]))
				if err != nil {
					return err
				}
				return eval.Print(ctx, r.stdout, val, eval.Form{JSON: r.json})
			})
		},
	}, stdout, stderr)
	del := newRemoteCommand(remoteCommand{
		use: "del [URL] TABLE KEY", short: "Remove a key",
		long:  "Removes a key. A missing key is a KeyError and exit code 1." + wordsHelp,
		least: 2, most: 2,
		run: func(r *remote, args []string) error {
			return r.item(args[0], func(ctx context.Context, item *eval.Item) error {
				return item.Delete(ctx, eval.Word(args[1]))
			})
		},
	}, stdout, stderr)
	return []*cobra.Command{get, newSetCommand(stdout, stderr), del}
}

func newSetCommand(stdout, stderr *os.File) *cobra.Command {
	var ttl time.Duration
	cmd := newRemoteCommand(remoteCommand{
		use: "set [URL] TABLE KEY VALUE [--ttl TIME]", short: "Set the value of a key",
		long:  "Sets the value of a key." + wordsHelp,
		least: 3, most: 3,
		run: func(r *remote, args []string) error {
			return r.item(args[0], func(ctx context.Context, item *eval.Item) error {
				return item.Set(ctx, eval.Word(args[1]), eval.Word(args[2]), ttl)
			})
		},
	}, stdout, stderr)
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "remove the key after this `time`: 90s, 12h; 0: never")
	return cmd
}

// item opens the server and does something with an item of a table.
func (r *remote) item(table string, do func(ctx context.Context, item *eval.Item) error) error {
	db, err := r.open()
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := r.within()
	defer cancel()
	item, err := eval.ItemOf(ctx, db, table)
	if err == nil {
		err = do(ctx, item)
	}
	if err != nil {
		fmt.Fprintln(r.stderr, r.explain(err))
		return exitWith(exitFailed)
	}
	return nil
}
