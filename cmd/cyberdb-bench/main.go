// Command cyberdb-bench measures how fast a server answers: cyberdb-fast, or Redis for comparison.
//
// Without arguments it runs one canonical workload against 127.0.0.1:9980. It exits with 1 if anything failed or any reply was wrong, and with
// 2 if the command line cannot be used.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"cyberdb-fast/bench"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// report is what every mode prints.
type report interface {
	WriteJSON(io.Writer) error
	WriteTable(io.Writer) error
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parseCommand(args, os.Getenv)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, c.help)
		return 0
	}
	if err != nil {
		return fail(stderr, err)
	}
	result, err := measure(ctx, c)
	if err != nil {
		return fail(stderr, err)
	}
	write := result.WriteTable
	if c.json {
		write = result.WriteJSON
	}
	if err := write(stdout); err != nil {
		return fail(stderr, err)
	}
	if r, ok := result.(*bench.Report); ok && r.Failed() {
		for _, message := range r.Messages {
			fmt.Fprintln(stderr, "cyberdb-bench:", message)
		}
		return exitFailed
	}
	return 0
}

func measure(ctx context.Context, c *command) (report, error) {
	switch {
	case c.idle:
		return bench.Idle(ctx, c.options)
	case c.loadOnly:
		return bench.Load(ctx, c.options)
	default:
		return bench.Run(ctx, c.options)
	}
}

// fail prints the error as one line and returns the exit code for it.
func fail(stderr io.Writer, err error) int {
	fmt.Fprintln(stderr, "cyberdb-bench:", err)
	var usage *bench.UsageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
