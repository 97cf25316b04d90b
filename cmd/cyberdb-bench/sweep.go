package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"cyberdb-fast/bench"
)

// sweepCommand is the first argument that asks how late servers remove what has expired.
const sweepCommand = "sweep"

const sweepHead = `cyberdb-bench sweep measures how late servers remove entries that have expired.

    cyberdb-bench sweep --target cyberdb://127.0.0.1:9980 --target redis://127.0.0.1:6379
    cyberdb-bench sweep --target cyberdb://127.0.0.1:9980 --over 0s

It stores entries with deadlines, and then asks every few milliseconds how many there are (DICT LEN,
DBSIZE). A Redis is EMPTIED. For a server under load, run cyberdb-bench beside it, on another table.

`

// measureSweep does what the arguments after sweepCommand say.
func measureSweep(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	o := bench.DefaultSweepOptions()
	var targets []string
	var passwordFile, out string
	var asJSON bool
	f := pflag.NewFlagSet(sweepCommand, pflag.ContinueOnError)
	f.SortFlags = false
	f.SetOutput(stderr)
	f.Usage = func() {}
	f.StringArrayVar(&targets, "target", nil, "cyberdb://HOST:PORT or redis://HOST:PORT")
	f.IntVar(&o.Entries, "entries", o.Entries, "entries with a deadline")
	f.IntVar(&o.Stays, "stays", o.Stays, "entries without one")
	f.DurationVar(&o.Over, "over", o.Over, "time within which the deadlines are; 0s: all at one time")
	f.DurationVar(&o.Sample, "sample", o.Sample, "time between two questions")
	f.IntVarP(&o.Batch, "pipeline", "P", o.Batch, "requests in flight while the entries are stored")
	f.StringVar(&o.Table, "table", o.Table, "table to drop and create; its name begins with bench")
	f.StringVar(&passwordFile, "password-file", "", "file that holds the password")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.StringVar(&out, "out", "", "file to append the report to, as a line of JSON")
	switch err := f.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, sweepHead+f.FlagUsages())
		return nil
	case err != nil:
		return &bench.UsageError{Text: err.Error()}
	case f.NArg() > 0:
		return usagef("unknown argument %q", f.Arg(0))
	}
	var err error
	if o.Targets, err = pickTargets(&raw{targets: targets, port: 9980, host: "127.0.0.1"}); err != nil {
		return err
	}
	if o.Password, err = password(passwordFile, getenv); err != nil {
		return err
	}
	report, err := bench.SweepLags(ctx, o)
	if err != nil {
		return err
	}
	stamp(&report.Command, &report.Machine, strings.Join(append([]string{"cyberdb-bench", sweepCommand}, args...), " "))
	write := report.WriteTable
	if asJSON {
		write = report.WriteJSON
	}
	return errors.Join((&command{out: out}).keep(report), write(stdout))
}
