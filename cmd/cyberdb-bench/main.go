// Command cyberdb-bench measures how fast a server answers: cyberdb-fast, or another database for
// comparison.
//
// Without arguments it runs one canonical workload against 127.0.0.1:9980. It exits with 1 if
// anything failed or any reply was wrong, and with 2 if the command line cannot be used.
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
	"cyberdb-fast/bench/page"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program immediately
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// release is the output of git describe, set by the linker; "" without it.
var release string

// stamp records in a report what made it.
func stamp(command *string, machine *bench.Machine, line string) {
	*command = line
	if release != "" {
		machine.Commit = release
	}
}

// report is the result of every mode.
type report interface {
	WriteJSON(io.Writer) error
	WriteTable(io.Writer) error
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == echoCommand {
		return fail(stderr, serveEcho(ctx, args[1:], os.Stdin, stdout))
	}
	if len(args) > 0 && args[0] == reportCommand {
		return fail(stderr, makeReport(args[1:], stdout))
	}
	if len(args) > 0 && args[0] == hitCommand {
		return fail(stderr, measureHits(ctx, args[1:], os.Getenv, stdout, stderr))
	}
	if len(args) > 0 && args[0] == sweepCommand {
		return fail(stderr, measureSweep(ctx, args[1:], os.Getenv, stdout, stderr))
	}
	c, err := parseCommand(args, os.Getenv)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, c.help)
		return 0
	}
	if err != nil {
		return fail(stderr, err)
	}
	result, runs, err := measure(ctx, c, "cyberdb-bench "+strings.Join(args, " "))
	if result == nil {
		return fail(stderr, err)
	}
	write := result.WriteTable
	if c.json {
		write = result.WriteJSON
	}
	if err := errors.Join(err, write(stdout)); err != nil {
		return fail(stderr, err)
	}
	return printFailures(stderr, runs)
}

// printFailures prints the errors and returns the exit code for them.
func printFailures(stderr io.Writer, runs []*bench.Report) (code int) {
	for _, r := range runs {
		if !r.Failed() {
			continue
		}
		code = exitFailed
		for _, message := range r.Messages {
			fmt.Fprintf(stderr, "cyberdb-bench: %s: %s\n", r.Target, message)
		}
	}
	return code
}

// measure runs the command. The runs are those of the result, if it has any. There may be a result
// together with an error.
func measure(ctx context.Context, c *command, line string) (result report, runs []*bench.Report, err error) {
	stop, err := startEchos(c.plan.Targets)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	o := c.plan.Options
	o.Target = c.plan.Targets[0]
	switch {
	case c.idle:
		r, err := bench.Idle(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		stamp(&r.Command, &r.Machine, line)
		return r, nil, c.keep(r)
	case c.loadOnly:
		r, err := bench.Load(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		stamp(&r.Command, &r.Machine, line)
		return r, nil, c.keep(r)
	case c.callers > 0:
		r, err := runCallers(ctx, o, c.callers)
		if err != nil {
			return nil, nil, err
		}
		stamp(&r.Command, &r.Machine, line)
		return r, []*bench.Report{r}, errors.Join(c.keep(r), c.draw(r))
	}
	return c.runPlan(ctx, line)
}

// draw writes the file of --html.
func (c *command) draw(runs ...*bench.Report) error {
	if c.html == "" {
		return nil
	}
	r, err := page.NewReport([]page.Section{{Name: "results", Results: bench.Results{Runs: runs}}})
	if err != nil {
		return err
	}
	return writeHTML(c.html, r)
}

// runPlan makes the runs of the plan and writes each to --out as it ends.
func (c *command) runPlan(ctx context.Context, line string) (report, []*bench.Report, error) {
	var runs []*bench.Report
	each := func(r *bench.Report) error {
		stamp(&r.Command, &r.Machine, line)
		runs = append(runs, r)
		return c.keep(r)
	}
	show, clear := progress(os.Stderr)
	err := c.plan.Run(ctx, show, each)
	clear()
	switch {
	case len(runs) == 0:
		return nil, nil, err
	case errors.Is(err, bench.ErrInterrupted):
		err = nil // the runs so far count
	}
	err = errors.Join(err, c.draw(runs...))
	if len(runs) == 1 {
		return runs[0], runs, err
	}
	return bench.NewSeries(runs), runs, err
}

// keep appends the report to the file of --out.
func (c *command) keep(r report) error {
	if c.out == "" {
		return nil
	}
	file, err := os.OpenFile(c.out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, readable)
	if err != nil {
		return err
	}
	return errors.Join(r.WriteJSON(file), file.Close())
}

// fail prints the error, if there is one, as one line and returns the exit code for it.
func fail(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "cyberdb-bench:", strings.ReplaceAll(err.Error(), "\n", "; "))
	var usage *bench.UsageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
