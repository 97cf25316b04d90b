package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
)

const wordsHelp = `
KEY and VALUE are Python literals: 36, 'text', b'bytes', ("a", 1), {"age": 36}. A word that does not
begin like one is a text: ada is 'ada', while 2024-01-01 needs quotes: "'2024-01-01'". Write -- before
a word that begins with -. If TABLE is a list, KEY is an index.`

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
			return r.item(args, func(ctx context.Context, item *eval.Item, words []govalue.Encoded) error {
				val, err := item.Get(ctx, words[0])
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
			return r.item(args, func(ctx context.Context, item *eval.Item, words []govalue.Encoded) error {
				return item.Delete(ctx, words[0])
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
			return r.item(args, func(ctx context.Context, item *eval.Item, words []govalue.Encoded) error {
				return item.Set(ctx, words[0], words[1], ttl)
			})
		},
	}, stdout, stderr)
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "remove the key after this `time`: 90s, 12h; 0: never")
	return cmd
}

// words returns the values of words of the command line. It prints which of them is malformed.
func (r *remote) words(args []string) ([]govalue.Encoded, error) {
	values := make([]govalue.Encoded, len(args))
	for i, word := range args {
		var err error
		if values[i], err = eval.Word(word); err != nil {
			const width = 80
			text := eval.Explain(err)
			if parse, ok := errors.AsType[*syntax.Error](err); ok {
				text = parse.Pointed(width)
			}
			fmt.Fprintln(r.stderr, text)
			return nil, exitWith(exitUsage)
		}
	}
	return values, nil
}

// item opens the server and does something with an item of a table: args are the table, and words.
func (r *remote) item(
	args []string,
	do func(ctx context.Context, item *eval.Item, words []govalue.Encoded) error,
) error {
	words, err := r.words(args[1:])
	if err != nil {
		return err
	}
	db, err := r.open()
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := r.within()
	defer cancel()
	item, err := eval.ItemOf(ctx, db, args[0])
	if err == nil {
		err = do(ctx, item, words)
	}
	if err != nil {
		fmt.Fprintln(r.stderr, r.explain(err))
		return exitWith(exitFailed)
	}
	return nil
}
