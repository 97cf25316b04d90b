package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"cyberdb-fast/bench"
)

// command is what the command line asks for.
type command struct {
	options  bench.Options
	json     bool
	loadOnly bool
	idle     bool
	help     string
}

const usageHead = `cyberdb-bench measures how fast a server answers.

    cyberdb-bench                                       GET from 100,000 keys, 50 connections, 16 requests in flight on each
    cyberdb-bench -c 1000 -P 1 -d 10s --op set --json
    cyberdb-bench --target redis://127.0.0.1:6379
    cyberdb-bench --load 1000000 --no-run               memory per entry
    cyberdb-bench --idle -c 10000                       memory per idle connection

The password is taken from --password-file, CYBERDB_PASSWORD or the file named by CYBERDB_PASSWORD_FILE.

`

// raw holds the flags that are not options as they are.
type raw struct {
	host, socket, target string
	port                 int
	op                   string
	load                 int
	passwordFile         string
}

// parseCommand reads the command line and the environment. Errors: *bench.UsageError; pflag.ErrHelp, with help set.
func parseCommand(args []string, getenv func(string) string) (*command, error) {
	c := &command{options: bench.DefaultOptions()}
	var r raw
	flags := c.flags(&r)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		c.help = usageHead + flags.FlagUsages()
		return c, err
	case err != nil:
		return nil, &bench.UsageError{Text: err.Error()}
	case flags.NArg() > 0:
		return nil, usagef("unknown argument %q", flags.Arg(0))
	case c.idle && c.loadOnly:
		return nil, usagef("--idle and --no-run exclude each other")
	case flags.Changed("load") && flags.Changed("keys") && r.load != c.options.Keys:
		return nil, usagef("--load and --keys differ: give one of them")
	case r.target != "" && (flags.Changed("host") || flags.Changed("port")):
		return nil, usagef("--target says host and port already: leave out -H and -p")
	}
	if flags.Changed("load") {
		c.options.Keys = r.load
	}
	return c, c.resolve(&r, getenv)
}

// flags declares every flag.
func (c *command) flags(r *raw) *pflag.FlagSet {
	o := &c.options
	f := pflag.NewFlagSet("cyberdb-bench", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {} // run prints the help
	f.StringVarP(&r.host, "host", "H", "127.0.0.1", "address of the server")
	f.IntVarP(&r.port, "port", "p", 9980, "port of the server")
	f.StringVar(&r.socket, "unix", "", "path of the server's Unix socket, in place of host and port")
	f.StringVar(&r.target, "target", "", "cyberdb://HOST:PORT or redis://HOST:PORT, in place of host and port; with --unix: cyberdb: or redis:")
	f.IntVarP(&o.Connections, "connections", "c", o.Connections, "connections")
	f.IntVarP(&o.Pipeline, "pipeline", "P", o.Pipeline, "requests in flight on each connection")
	f.DurationVarP(&o.Duration, "duration", "d", o.Duration, "measured time")
	f.DurationVar(&o.Warmup, "warmup", o.Warmup, "time before it, checked but not counted")
	f.StringVar(&r.op, "op", o.Op.String(), "get, set, append, index or mixed (nine get to one set)")
	f.IntVar(&o.Keys, "keys", o.Keys, "entries of the table")
	f.IntVar(&o.KeyBytes, "key-size", o.KeyBytes, "bytes of a key")
	f.IntVar(&o.ValueBytes, "value-size", o.ValueBytes, "bytes of a value")
	f.StringVar(&o.Table, "table", o.Table, "table, dropped and made anew; its name begins with bench")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of keys, values and their order")
	f.IntVar(&o.Threads, "threads", o.Threads, "event loops of this program")
	f.IntVar(&o.ServerPID, "server-pid", 0, "process to account for; without it, the one that listens at the target")
	f.StringVar(&r.passwordFile, "password-file", "", "file that holds the password")
	f.BoolVar(&c.json, "json", false, "print one JSON object")
	f.IntVar(&r.load, "load", 0, "as --keys")
	f.BoolVar(&c.loadOnly, "no-run", false, "load only, and print the server's memory before and after")
	f.BoolVar(&c.idle, "idle", false, "open the connections only, and print the server's memory for each")
	return f
}

// resolve turns the raw flags into options.
func (c *command) resolve(r *raw, getenv func(string) string) (err error) {
	if c.options.Op, err = bench.ParseOp(r.op); err != nil {
		return err
	}
	if c.options.Target, err = pickTarget(r); err != nil {
		return err
	}
	if c.options.Target.Scheme == bench.SchemeNative {
		c.options.Password, err = password(r.passwordFile, getenv)
	}
	return err
}

func usagef(format string, args ...any) error {
	return &bench.UsageError{Text: fmt.Sprintf(format, args...)}
}

func pickTarget(r *raw) (bench.Target, error) {
	switch {
	case r.socket != "":
		scheme, _, _ := strings.Cut(r.target, ":")
		if scheme == "" {
			scheme = bench.SchemeNative
		}
		if scheme != bench.SchemeNative && scheme != bench.SchemeRedis {
			return bench.Target{}, usagef("--target %q: with --unix give cyberdb: or redis:", r.target)
		}
		return bench.Target{Scheme: scheme, Network: "unix", Address: r.socket}, nil
	case r.target != "":
		return bench.ParseTarget(r.target)
	case r.port < 1 || r.port > 65535:
		return bench.Target{}, usagef("-p must be 1 to 65535, not %d", r.port)
	}
	return bench.Target{Scheme: bench.SchemeNative, Network: "tcp", Address: net.JoinHostPort(r.host, strconv.Itoa(r.port))}, nil
}

// password returns the password; a file's last line end does not belong to it.
func password(file string, getenv func(string) string) (string, error) {
	if file == "" {
		if text := getenv("CYBERDB_PASSWORD"); text != "" {
			return text, nil
		}
		if file = getenv("CYBERDB_PASSWORD_FILE"); file == "" {
			return "", nil
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", usagef("password file: %v", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
