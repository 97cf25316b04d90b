package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// newPingCommand returns the command that asks whether the server answers.
func newPingCommand(stdout, stderr *os.File) *cobra.Command {
	return newRemoteCommand(remoteCommand{
		use:   "ping [URL]",
		short: "Ask whether the server answers; the health check of containers",
		long: `Prints PONG and the time of one request, and exits with 0, if the server answers. Otherwise it
prints why not in one line, and exits with 1.`,
		run: func(r *remote, _ []string) error {
			db, err := r.open()
			if err != nil {
				return err
			}
			defer db.Close()
			ctx, cancel := r.within()
			defer cancel()
			start := time.Now()
			if err := db.Ping(ctx); err != nil {
				return errors.New(r.explain(err))
			}
			_, err = fmt.Fprintf(r.stdout, "PONG %.3f ms\n", float64(time.Since(start).Microseconds())/1000)
			return err
		},
	}, stdout, stderr)
}
