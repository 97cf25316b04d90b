package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"cyberdb-fast/bench"
)

// hitCommand is the first argument that asks for the hit ratios of caches.
const hitCommand = "hitratio"

const hitHead = `cyberdb-bench hitratio measures how often caches of one size have what they are asked for.

    cyberdb-bench hitratio --target cyberdb://127.0.0.1:9980 --target redis://127.0.0.1:6379
    cyberdb-bench hitratio --target memcached://127.0.0.1:11211 --target cyberdb://127.0.0.1:9980
    cyberdb-bench hitratio --target cyberdb://127.0.0.1:9980 --trace keys.txt --entries 1000

The client asks for a key and stores it if the cache does not have it. Every cache gets the same
requests. A dict is limited by max_entries. A Redis is EMPTIED and gets maxmemory and its policies
allkeys-lru and allkeys-lfu in turn, so that it holds as many entries. A memcached is emptied too; its -m
decides how many entries the others hold, unless --entries is given. Redis's clock for LRU has a
resolution of one second: give a --rate at which the cache is replaced in many seconds.

Workloads (--workload):

`

// hitFlags are the command line of hitratio.
type hitFlags struct {
	options      bench.HitOptions
	targets      []string
	workloads    []string
	trace        string
	keys, values string
	passwordFile string
	json         bool
	out          string
}

func (h *hitFlags) flags() *pflag.FlagSet {
	o := &h.options
	f := pflag.NewFlagSet(hitCommand, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.StringArrayVar(&h.targets, "target", nil, "cyberdb://HOST:PORT, redis://HOST:PORT or memcached://HOST:PORT")
	f.StringSliceVar(&h.workloads, "workload", nil, "workloads to run; default: all")
	f.StringVar(&h.trace, "trace", "", "file with one key a line, to run in place of the workloads")
	f.IntVar(&o.Entries, "entries", 0, "entries that a cache holds; 0: as a memcached does, or 100,000")
	f.IntVar(&o.Keys, "keys", 0, "keys that the workloads draw from; 0: ten for each entry")
	f.IntVar(&o.Warmup, "warmup", o.Warmup, "requests before those that count")
	f.IntVar(&o.Requests, "requests", o.Requests, "requests that count")
	f.IntVarP(&o.Batch, "pipeline", "P", o.Batch, "requests in flight")
	f.IntVar(&o.Rate, "rate", 0, "requests a second; 0: as fast as the server answers")
	f.StringVar(&h.keys, "key-size", o.KeySize.String(), "bytes of a key")
	f.StringVar(&h.values, "value-size", o.ValueSize.String(), "bytes of a value")
	f.StringVar(&o.Table, "table", o.Table, "table to drop and create; its name begins with bench")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of keys, values and their order")
	f.StringVar(&h.passwordFile, "password-file", "", "file that holds the password")
	f.BoolVar(&h.json, "json", false, "print one JSON object")
	f.StringVar(&h.out, "out", "", "file to append the report to, as a line of JSON")
	return f
}

// measureHits does what the arguments after hitCommand say.
func measureHits(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	h := &hitFlags{options: bench.DefaultHitOptions()}
	f := h.flags()
	switch err := f.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, hitHead)
		for _, w := range bench.HitWorkloads() {
			fmt.Fprintf(stdout, "    %-9s %s\n", w.Name, w.Help)
		}
		fmt.Fprint(stdout, "\n"+f.FlagUsages())
		return nil
	case err != nil:
		return &bench.UsageError{Text: err.Error()}
	case f.NArg() > 0:
		return usagef("unknown argument %q", f.Arg(0))
	}
	if err := h.resolve(getenv); err != nil {
		return err
	}
	report, err := bench.HitRatios(ctx, h.options, func(r *bench.HitResult) {
		if !h.json {
			fmt.Fprintf(stderr, "%s %s %s: %.2f %%\n", r.Scheme, r.Policy, r.Workload, r.Percent)
		}
	})
	if err != nil {
		return err
	}
	stamp(&report.Command, &report.Machine, strings.Join(append([]string{"cyberdb-bench", hitCommand}, args...), " "))
	write := report.WriteTable
	if h.json {
		write = report.WriteJSON
	}
	return errors.Join((&command{out: h.out}).keep(report), write(stdout))
}

// resolve turns the flags into options. Errors: *bench.UsageError, and those of the files.
func (h *hitFlags) resolve(getenv func(string) string) (err error) {
	o := &h.options
	targets, err := pickTargets(&raw{targets: h.targets, port: 9980, host: "127.0.0.1"})
	if err != nil {
		return err
	}
	if o.Caches, err = bench.HitCaches(targets); err != nil {
		return err
	}
	if o.KeySize, err = bench.ParseSize(h.keys); err != nil {
		return err
	}
	if o.ValueSize, err = bench.ParseSize(h.values); err != nil {
		return err
	}
	if len(h.workloads) > 0 {
		if o.Workloads, err = bench.PickHitWorkloads(h.workloads); err != nil {
			return err
		}
	}
	if h.trace != "" {
		if err := h.readTrace(); err != nil {
			return err
		}
	}
	o.Password, err = password(h.passwordFile, getenv)
	return err
}

// readTrace makes the file of --trace the only workload: all of its requests count.
func (h *hitFlags) readTrace() error {
	file, err := os.Open(h.trace)
	if err != nil {
		return err
	}
	defer file.Close()
	w, keys, requests, err := bench.TraceWorkload(filepath.Base(h.trace), file)
	if err != nil {
		return err
	}
	o := &h.options
	o.Workloads, o.Keys, o.Warmup, o.Requests = []bench.HitWorkload{w}, keys, 0, requests
	return nil
}
