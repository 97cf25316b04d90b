package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	server string // path of the binary
	seed   uint64
	only   []string // names of scenarios; none: all of them
	short  bool
	list   bool
	lasts  time.Duration
	race   bool // the server is built with the race detector
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == witnessRole {
		if err := bearWitness(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "witness:", err)
			os.Exit(1)
		}
		return
	}
	opt, err := parseOptions(os.Args[1:])
	if err != nil {
		os.Exit(2)
	}
	os.Exit(run(opt, os.Stdout))
}

func parseOptions(args []string) (opt options, err error) {
	flags := flag.NewFlagSet("abuse", flag.ContinueOnError)
	flags.StringVar(&opt.server, "server", "bin/cyberdb-fast", "`path` of the server")
	flags.Uint64Var(&opt.seed, "seed", 0, "what everything random is made from; 0: another one each time")
	only := flags.String("only", "", "`names` of the scenarios to run, between commas")
	flags.BoolVar(&opt.short, "short", false, "run the short choice, each scenario once")
	flags.BoolVar(&opt.list, "list", false, "list the scenarios")
	flags.DurationVar(&opt.lasts, "for", 0, "how long hostile clients continue; 0: some seconds")
	flags.BoolVar(
		&opt.race,
		"race",
		false,
		"the server is built with the race detector: it is given more time, and its resident memory is not looked at",
	)
	if err := flags.Parse(args); err != nil {
		return opt, err
	}
	if *only != "" {
		opt.only = strings.Split(*only, ",")
	}
	if opt.seed == 0 {
		opt.seed = rand.Uint64N(1_000_000) + 1
	}
	return opt, nil
}

// run runs the campaign and returns the exit code.
func run(opt options, out io.Writer) int {
	chosen, err := choose(opt)
	if err != nil {
		fmt.Fprintln(out, "abuse:", err)
		return 2
	}
	if opt.list {
		for _, s := range chosen {
			fmt.Fprintf(out, "%-32s %s\n", s.name, s.about)
		}
		return 0
	}
	if !inOwnNetwork() {
		code, err := inNewNetwork(opt.seed)
		if err == nil {
			return code
		}
		fmt.Fprintf(out, "abuse: in this machine's network, since there is no other: %v\n", err)
	}
	return campaign(opt, chosen, out)
}

// choose returns the scenarios that the options select.
func choose(opt options) (chosen []*scenario, err error) {
	for _, name := range opt.only {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			return nil, fmt.Errorf("no scenario is named %q; -list lists them", name)
		}
	}
	for i := range scenarios {
		s := &scenarios[i]
		switch {
		case len(opt.only) > 0 && !slices.Contains(opt.only, s.name):
		case len(opt.only) == 0 && opt.short && !s.short:
		default:
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}

// campaign runs the scenarios, one after another, and says in its last line how many passed.
func campaign(opt options, chosen []*scenario, out io.Writer) int {
	ground, err := newGround(opt)
	if err != nil {
		fmt.Fprintln(out, "abuse:", err)
		return 2
	}
	defer ground.close()
	fmt.Fprintf(out, "abuse: seed %d\n", opt.seed)
	var failed []string
	for _, s := range chosen {
		settings := s.transport.settings()
		if opt.short {
			settings = settings[len(settings)-1:]
		}
		for _, encrypt := range settings {
			start := time.Now()
			notes, err := ground.play(s, encrypt)
			took := time.Since(start).Round(time.Millisecond)
			line := fmt.Sprintf("%-32s %-9s seed %d  %6s  %s", s.name, transportName(encrypt), opt.seed, took, notes)
			if err == nil {
				fmt.Fprintln(out, "ok    ", line)
				continue
			}
			fmt.Fprintf(out, "FAILED %s\n%s\n", line, indented(err))
			if name := fmt.Sprintf("%s (SEED=%d ONLY=%s)", s.name, opt.seed, s.name); !slices.Contains(failed, name) {
				failed = append(failed, name)
			}
		}
	}
	for _, name := range failed {
		fmt.Fprintf(out, "abuse: failed: %s\n", name)
	}
	fmt.Fprintf(out, "abuse: %d scenarios, %d passed\n", len(chosen), len(chosen)-len(failed))
	if len(failed) > 0 {
		return 1
	}
	return 0
}

func indented(err error) string {
	return "       " + strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n       ")
}

// exitCode returns the exit code of a process that has ended, an error if it did not run.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}
