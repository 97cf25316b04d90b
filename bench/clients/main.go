// Command clients drives client libraries the same way, with as many goroutines: the Go client of
// cyberdb-fast, and go-redis and rueidis for Redis.
//
// It is its own module, so that the server does not depend on Redis's clients. `make
// bench-compare` builds and runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"cyberdb-fast/bench"
)

// release is the output of git describe, set by the linker; "" without it.
var release string

// settings are the flags.
type settings struct {
	options        bench.Options
	goroutines     int
	repeat         int
	cyberdb, redis string
	valkey         string // "" if it is not measured
	libraries      []string
	out            string
	json           bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	var usage *bench.UsageError
	switch {
	case err == nil || errors.Is(err, pflag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
}

// parse reads the flags; the password is CYBERDB_PASSWORD.
func parse(args []string) (*settings, error) {
	s := &settings{options: bench.DefaultOptions()}
	o := &s.options
	o.Password = os.Getenv("CYBERDB_PASSWORD")
	var op, values string
	f := pflag.NewFlagSet("clients", pflag.ContinueOnError)
	f.SortFlags = false
	f.IntVar(&s.goroutines, "goroutines", 1000, "goroutines that call at once")
	f.StringSliceVar(&s.libraries, "libraries", libraryNames(), "libraries to measure, in turn")
	f.StringVar(&s.cyberdb, "cyberdb", "127.0.0.1:9980", "address of cyberdb-fast")
	f.StringVar(&s.redis, "redis", "127.0.0.1:6379", "address of Redis")
	f.StringVar(&s.valkey, "valkey", "", "address of Valkey; the libraries for Redis are measured on it too")
	f.StringVar(&op, "op", "get", "get, set, mixed, lock, take or wake")
	f.IntVar(&o.Keys, "keys", o.Keys, "entries")
	f.StringVar(&values, "value-size", o.ValueSize.String(), "bytes of a value, or uniform:16-256")
	f.DurationVarP(&o.Duration, "duration", "d", o.Duration, "measured time of each run")
	f.DurationVar(&o.Warmup, "warmup", o.Warmup, "time before it")
	f.IntVar(&s.repeat, "repeat", 1, "runs of each library")
	f.StringVar(&s.out, "out", "", "file to append each run to, as a line of JSON")
	f.BoolVar(&s.json, "json", false, "print one JSON object")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil, err
		}
		return nil, &bench.UsageError{Text: err.Error()}
	}
	var err, err2 error
	o.Op, err = bench.ParseOp(op)
	o.ValueSize, err2 = bench.ParseSize(values)
	return s, errors.Join(err, err2)
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	command := "cyberdb-bench-clients " + strings.Join(args, " ")
	var runs []*bench.Report
	for range s.repeat {
		for _, p := range s.pairs() {
			r, err := s.measure(ctx, p)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", p.library, p.target, err)
			}
			r.Command = command
			if release != "" {
				r.Machine.Commit = release
			}
			runs = append(runs, r)
			if err := s.keep(r); err != nil {
				return err
			}
		}
	}
	series := bench.NewSeries(runs)
	write := series.WriteTable
	if s.json {
		write = series.WriteJSON
	}
	if err := write(stdout); err != nil {
		return err
	}
	for _, r := range runs {
		if r.Failed() {
			return fmt.Errorf("%s: %d errors: %s", r.Client, r.Errors, strings.Join(r.Messages, "; "))
		}
	}
	return nil
}

// pair is a library and the server that it calls.
type pair struct {
	library string
	target  bench.Target
}

// pairs returns what is measured, in turn.
func (s *settings) pairs() (all []pair) {
	for _, library := range s.libraries {
		if library == cyberdbClient {
			all = append(
				all,
				pair{library, bench.Target{Scheme: bench.SchemeNative, Network: "tcp", Address: s.cyberdb}},
			)
			continue
		}
		for _, address := range []string{s.redis, s.valkey} {
			if address != "" {
				all = append(
					all,
					pair{library, bench.Target{Scheme: bench.SchemeRedis, Network: "tcp", Address: address}},
				)
			}
		}
	}
	return all
}

// measure makes one run of one library.
func (s *settings) measure(ctx context.Context, p pair) (*bench.Report, error) {
	open, known := libraries[p.library]
	if !known {
		return nil, &bench.UsageError{Text: "known are " + strings.Join(libraryNames(), ", ")}
	}
	o := s.options
	o.Target = p.target
	library, end, err := open(&o)
	if err != nil {
		return nil, err
	}
	r, err := bench.RunCallers(ctx, o, s.goroutines, library)
	return r, errors.Join(err, end())
}

// keep appends the run to the file of --out.
func (s *settings) keep(r *bench.Report) error {
	if s.out == "" {
		return nil
	}
	file, err := os.OpenFile(s.out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(r.WriteJSON(file), file.Close())
}
