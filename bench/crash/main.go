package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

// options are the flags.
type options struct {
	server  string // path of the binary
	cycles  int
	seed    uint64
	clients int
	ext4    bool
	breakIt bool
	fault   string        // of a server that is built with the tag "broken"; "": none
	window  time.Duration // the age of acknowledged writes that everysec and no may lose
}

func main() {
	opt, err := parseOptions(os.Args[1:])
	if err != nil {
		os.Exit(2)
	}
	os.Exit(run(opt, os.Stdout))
}

func parseOptions(args []string) (opt options, err error) {
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	flags.StringVar(&opt.server, "server", "bin/cyberdb-fast", "`path` of the server")
	flags.IntVar(&opt.cycles, "cycles", 2000, "how often the server is ended")
	flags.Uint64Var(&opt.seed, "seed", 0, "seed of all random choices; 0: a new one each time")
	flags.IntVar(&opt.clients, "clients", 6, "clients that write")
	flags.BoolVar(&opt.ext4, "ext4", false, "cut the power of an ext4 made for this; needs root")
	flags.BoolVar(&opt.breakIt, "break", false, "acknowledge before the sync: losses must be found")
	flags.StringVar(&opt.fault, "fault", "", "give a server built with the tag broken this `fault`: it must be found")
	flags.DurationVar(&opt.window, "window", 0, "what everysec and no may lose (default 1s; with -ext4 2s)")
	if err := flags.Parse(args); err != nil {
		return opt, err
	}
	if opt.seed == 0 {
		opt.seed = rand.Uint64N(1_000_000) + 1
	}
	if opt.window == 0 {
		opt.window = time.Second
		if opt.ext4 {
			opt.window = 2 * time.Second
		}
	}
	return opt, nil
}

// run runs the campaign and returns the exit code: 1 if anything was lost or wrong, 2 if it cannot
// run.
func run(opt options, out io.Writer) int {
	name := "crash"
	if opt.ext4 {
		name = "powercut-ext4"
	}
	fmt.Fprintf(out, "%s: seed %d\n", name, opt.seed)
	c, err := newCampaign(opt, out)
	if err != nil {
		fmt.Fprintf(out, "%s: cannot run: %v\n", name, err)
		return 2
	}
	failure := c.run()
	if errors.Is(failure, errNoFault) {
		fmt.Fprintf(out, "%s: cannot run: %v\n", name, errors.Join(failure, c.close(false)))
		return 2
	}
	if failure != nil {
		fmt.Fprintf(out, "%s: %v\n", name, failure)
	}
	if err := c.close(failure != nil); err != nil {
		failure = errors.Join(failure, err)
		fmt.Fprintf(out, "%s: %v\n", name, err)
	}
	t := &c.total
	fmt.Fprintf(out, "%s: %d saves; %s (%v are allowed)\n", name, t.saves, t.windows(), opt.window)
	fmt.Fprintf(out, "%s: ended by %s\n", name, t.ends())
	if t.unsaved > 0 {
		fmt.Fprintf(out, "%s: without a journal, kills lost %d writes that came after the last save\n", name, t.unsaved)
	}
	if t.late > 0 {
		fmt.Fprintf(out, "%s: %d writes were acknowledged after the power had been cut, and are lost\n", name, t.late)
	}
	fmt.Fprintf(out, "%s: %d digests compared, %d differences\n", name, t.digests, t.differ)
	fmt.Fprintf(out, "%s: %d cycles, %d acknowledged writes lost (%d acknowledged)\n", name, t.cycles, t.lost, t.acked)
	if failure != nil || t.lost > 0 || t.differ > 0 {
		return 1
	}
	return 0
}
