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

// command is the parsed command line.
type command struct {
	plan     bench.Plan
	callers  int
	json     bool
	html     string
	out      string
	loadOnly bool
	idle     bool
	help     string
}

const usageHead = `cyberdb-bench measures how fast a server answers.

    cyberdb-bench                                       GET from 100,000 keys, 50 connections, 16 requests
                                                        in flight on each
    cyberdb-bench -c 1000 -P 1 -d 10s --op set --json
    cyberdb-bench --target cyberdb://127.0.0.1:9980 --target redis://127.0.0.1:6379 --repeat 5
    cyberdb-bench -c 1,50,1000 -P 1,16 --html report.html
    cyberdb-bench --rate 50000 -d 30s                   open loop: latency from when a request was due
    cyberdb-bench --callers 1000                        the Go client, driven by 1000 goroutines
    cyberdb-bench --load 1000000 --no-run               memory per entry
    cyberdb-bench --idle -c 10000 -d 10s                memory per idle connection, and how the server rests
    cyberdb-bench hitratio --help                       how often caches have what they are asked for
    cyberdb-bench sweep --help                          how late expired entries are removed
    cyberdb-bench report --help                         tables and pictures from results that --out kept

Operations (--op):

`

const usageMiddle = `
Targets (--target, several to compare them in one run):

    cyberdb://HOST:PORT           cyberdb-fast
    cyberdbs://HOST:PORT          the same, encrypted: a server with --encrypt
    redis://HOST:PORT             Redis, Valkey
    memcached://HOST:PORT         memcached, text protocol: get, set, mixed, incr
    legacy://HOST:PORT            the original CyberDB: get, set, mixed, append; always with -P 1,
                                  since its protocol has no pipelining
    legacy-encrypted://HOST:PORT  the same with encrypt=True
    gnet-echo:LOOPS               a bare echo on cyberdb-fast's event loop, started for the run: get, set, mixed

Every reply is checked. The password is taken from --password-file, CYBERDB_PASSWORD or the file named by
CYBERDB_PASSWORD_FILE.

`

// raw holds the flags that need parsing.
type raw struct {
	host, socket       string
	targets            []string
	port               int
	op, keys, values   string
	ratio              string
	load               int
	passwordFile       string
	encrypt            bool
	connections, depth []int
}

// parseCommand reads the command line and the environment. Errors: *bench.UsageError;
// pflag.ErrHelp, with help set.
func parseCommand(args []string, getenv func(string) string) (*command, error) {
	c := &command{plan: bench.Plan{Options: bench.DefaultOptions()}}
	var r raw
	flags := c.flags(&r)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		c.help = usageHead + bench.OpHelp() + usageMiddle + flags.FlagUsages()
		return c, err
	case err != nil:
		return nil, &bench.UsageError{Text: err.Error()}
	case flags.NArg() > 0:
		return nil, usagef("unknown argument %q", flags.Arg(0))
	case c.idle && c.loadOnly:
		return nil, usagef("--idle and --no-run exclude each other")
	case flags.Changed("load") && flags.Changed("keys") && r.load != c.plan.Options.Keys:
		return nil, usagef("--load and --keys differ: give one of them")
	case len(r.targets) > 0 && (flags.Changed("host") || flags.Changed("port")):
		return nil, usagef("--target has host and port: omit -H and -p")
	case c.plan.Options.Halfway != "" && (c.plan.Options.Requests > 0 || c.callers > 0 || c.idle || c.loadOnly):
		return nil, usagef("--halfway takes -d, and goes with no --requests, --callers, --idle or --no-run")
	case c.plan.Repeat < 1:
		return nil, usagef("--repeat must be 1 or more, not %d", c.plan.Repeat)
	}
	if flags.Changed("load") {
		c.plan.Options.Keys = r.load
	}
	return c, c.resolve(&r, getenv)
}

// flags declares every flag.
func (c *command) flags(r *raw) *pflag.FlagSet {
	o := &c.plan.Options
	f := pflag.NewFlagSet("cyberdb-bench", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {} // run prints the help
	f.StringVarP(&r.host, "host", "H", "127.0.0.1", "address of the server")
	f.IntVarP(&r.port, "port", "p", 9980, "port of the server")
	f.StringVar(&r.socket, "unix", "", "path of the server's Unix socket, in place of host and port")
	f.StringArrayVar(
		&r.targets,
		"target",
		nil,
		"PROTOCOL://HOST:PORT, in place of host and port; with --unix: cyberdb:, cyberdbs: or redis:",
	)
	f.BoolVar(
		&r.encrypt,
		"encrypt",
		false,
		"encrypt, for a server with --encrypt; a target of cyberdbs: does so too",
	)
	f.IntSliceVarP(
		&r.connections,
		"connections",
		"c",
		[]int{o.Connections},
		"connections; several numbers make a run each",
	)
	f.IntSliceVarP(
		&r.depth,
		"pipeline",
		"P",
		[]int{o.Pipeline},
		"requests in flight on each connection; several numbers make a run each",
	)
	f.DurationVarP(&o.Duration, "duration", "d", o.Duration, "measured time")
	f.IntVar(&o.Requests, "requests", 0, "measured requests, in place of a measured time")
	f.DurationVar(&o.Warmup, "warmup", o.Warmup, "time before it, checked but not counted")
	f.Float64Var(&o.Rate, "rate", 0, "open loop: requests a second over all connections, sent when due; 0: closed loop")
	f.IntVar(&c.plan.Repeat, "repeat", 1, "runs of each workload on each target; the report has their medians")
	f.BoolVar(
		&c.plan.Interleave,
		"interleave",
		true,
		"several targets take turns, run by run; otherwise one after the other",
	)
	f.StringVar(&r.op, "op", o.Op.String(), "what to do, see above")
	f.StringVar(&r.ratio, "ratio", o.Ratio.String(), "of mixed and hmixed: reads to writes")
	f.IntVar(&o.Keys, "keys", o.Keys, "entries, of all tables together")
	f.StringVar(&r.keys, "key-size", o.KeySize.String(), "bytes of a key, or uniform:16-64")
	f.StringVar(&r.values, "value-size", o.ValueSize.String(), "bytes of a value, or uniform:16-256")
	f.Float64Var(&o.Zipf, "zipf", 0, "exponent of the distribution that keys are drawn from, 0.99 is usual; 0: evenly")
	f.StringVar(&o.Table, "table", o.Table, "table to drop and create; its name begins with bench")
	f.IntVar(&o.Tables, "tables", o.Tables, "number of tables that share the entries")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of keys, values and their order")
	f.IntVar(&o.Threads, "threads", o.Threads, "event loops of this program")
	f.IntVar(
		&c.callers,
		"callers",
		0,
		"goroutines that share one Go client, in place of connections of this program's own; cyberdb alone, get, set, "+
			"mixed, lock, take or wake",
	)
	f.StringVar(
		&o.Halfway,
		"halfway",
		"",
		"shell command to run in the middle of each run, such as a save; the report has figures before, during and "+
			"after it",
	)
	f.IntVar(
		&o.ServerPID,
		"server-pid",
		0,
		"process whose CPU and memory to measure; default: the one that listens at the target",
	)
	f.StringVar(&r.passwordFile, "password-file", "", "file that holds the password")
	f.BoolVar(&c.json, "json", false, "print one JSON object")
	f.StringVar(&c.out, "out", "", "file to append each run to, as a line of JSON")
	f.StringVar(&c.html, "html", "", "HTML file to write with tables and charts")
	f.IntVar(&r.load, "load", 0, "as --keys")
	f.BoolVar(&c.loadOnly, "no-run", false, "load only, and print the server's memory before and after")
	f.BoolVar(
		&c.idle,
		"idle",
		false,
		"open the connections only; print the server's memory for each, and how often it wakes up within -d",
	)
	return f
}

// resolve turns the raw flags into options.
func (c *command) resolve(r *raw, getenv func(string) string) (err error) {
	o, p := &c.plan.Options, &c.plan
	p.Connections, p.Pipelines = r.connections, r.depth
	for _, step := range []func() error{
		func() error { o.Op, err = bench.ParseOp(r.op); return err },
		func() error { o.KeySize, err = bench.ParseSize(r.keys); return err },
		func() error { o.ValueSize, err = bench.ParseSize(r.values); return err },
		func() error { o.Ratio, err = bench.ParseRatio(r.ratio); return err },
		func() error { p.Targets, err = pickTargets(r); return err },
		func() error { return encryptAll(r, p.Targets) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if len(p.Connections) == 0 || len(p.Pipelines) == 0 {
		return usagef("-c and -P need a number")
	}
	o.Connections, o.Pipeline, o.Target = p.Connections[0], p.Pipelines[0], p.Targets[0]
	single := len(p.Connections) == 1 && len(p.Pipelines) == 1 && len(p.Targets) == 1 && p.Repeat == 1
	if !single && (c.idle || c.loadOnly || c.callers > 0) {
		return usagef("--idle, --no-run and --callers take one target and one run")
	}
	if len(p.Targets) > 1 && o.ServerPID != 0 {
		return usagef("--server-pid goes with one target")
	}
	for _, target := range p.Targets {
		if target.Authenticates() {
			o.Password, err = password(r.passwordFile, getenv)
		}
	}
	return err
}

// encryptAll applies --encrypt.
func encryptAll(r *raw, targets []bench.Target) error {
	if !r.encrypt {
		return nil
	}
	for i := range targets {
		if targets[i].Scheme != bench.SchemeNative {
			return usagef(
				"--encrypt is for cyberdb: only, not for %s; to encrypt some targets of several write cyberdbs:",
				targets[i],
			)
		}
		targets[i].Encrypt = true
	}
	return nil
}

func usagef(format string, args ...any) error {
	return &bench.UsageError{Text: fmt.Sprintf(format, args...)}
}

func pickTargets(r *raw) (targets []bench.Target, err error) {
	switch {
	case r.socket != "":
		target, err := unixTarget(r)
		return []bench.Target{target}, err
	case len(r.targets) > 0:
		for _, text := range r.targets {
			target, err := bench.ParseTarget(text)
			if err != nil {
				return nil, err
			}
			targets = append(targets, target)
		}
		return targets, nil
	case r.port < 1 || r.port > 65535:
		return nil, usagef("-p must be 1 to 65535, not %d", r.port)
	}
	address := net.JoinHostPort(r.host, strconv.Itoa(r.port))
	return []bench.Target{{Scheme: bench.SchemeNative, Network: "tcp", Address: address}}, nil
}

func unixTarget(r *raw) (bench.Target, error) {
	scheme := bench.SchemeNative
	if len(r.targets) > 0 {
		scheme, _, _ = strings.Cut(r.targets[0], ":")
	}
	encrypt := scheme == bench.SchemeNativeEncrypted
	if encrypt {
		scheme = bench.SchemeNative
	}
	if len(r.targets) > 1 || (scheme != bench.SchemeNative && scheme != bench.SchemeRedis) {
		return bench.Target{}, usagef(
			"--target %q: with --unix give cyberdb:, cyberdbs: or redis:",
			strings.Join(r.targets, " "),
		)
	}
	return bench.Target{Scheme: scheme, Network: "unix", Address: r.socket, Encrypt: encrypt}, nil
}

// password returns the password, from a file without its last line end.
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
