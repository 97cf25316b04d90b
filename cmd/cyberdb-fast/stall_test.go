package main

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cyberdb-fast/bench/harness"
)

// stall ADDRESS: until the script ends, a client there has asked for more than it reads.
func stall(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stall ADDRESS")
	}
	end, err := harness.Stall(args[0], ts.Getenv("CYBERDB_PASSWORD"), testTimeout)
	ts.Check(err)
	ts.Defer(end)
}

// stopping ADDRESS: the server there takes no more connections, or soon will not.
func stopping(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stopping ADDRESS")
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", args[0])
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			_ = conn.Close()
		} else if !errors.Is(err, syscall.ECONNRESET) { // the listener was closed with this connection in it
			ts.Fatalf("%v", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			ts.Fatalf("the server continues taking connections")
		}
	}
}
