package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"cyberdb-fast/client"
)

func main() {
	url := pflag.String(
		"url",
		"cyberdb://127.0.0.1:9980",
		"the server's connect line; without a password in it, CYBERDB_PASSWORD or CYBERDB_PASSWORD_FILE",
	)
	limit := pflag.Int("limit", 0, "load at most this many records; 0 is all")
	prefix := pflag.String("prefix", "golang-g", "find the names that begin so")
	pflag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *url, *limit, *prefix); err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string, limit int, prefix string) error {
	db, err := client.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer db.Close()

	begin := time.Now()
	source, records, err := read(ctx, limit)
	if err != nil {
		return err
	}
	printStep(begin, "read %d records of %s", len(records), source)

	begin = time.Now()
	bar := progressbar.NewOptions(len(records),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetVisibility(term.IsTerminal(int(os.Stderr.Fd()))),
		progressbar.OptionSetDescription("loading"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionThrottle(50*time.Millisecond), progressbar.OptionClearOnFinish())
	set := tablesOf(db)
	if err := set.load(ctx, records, func(n int) { _ = bar.Add(n) }); err != nil {
		return err
	}
	printStep(begin, "loaded them into the dict %q and the list %q", set.packages.Name(), set.sizes.Name())
	return set.ask(ctx, records[len(records)/2].Name, prefix)
}

func printStep(begin time.Time, format string, args ...any) {
	fmt.Printf("%8.1f ms  %s\n", float64(time.Since(begin).Microseconds())/1000, fmt.Sprintf(format, args...))
}
