package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/client"
)

const (
	password = "correct horse battery staple"
	// serverTimeout bounds every wait for the server.
	serverTimeout = 30 * time.Second
)

// server is the real server, in its own process, with a terminal and an open standard input.
type server struct{ *harness.Server }

// noJournal is the policy of a server without a journal.
const noJournal = "no journal"

// binary is the server to start, with its fault, which only a build with the tag "broken" has.
type binary struct{ path, fault string }

// configOf is the configuration of a server with this fsync policy.
func configOf(b binary, dir, policy string) harness.Config {
	keep := []string{"--fsync", policy}
	if policy == noJournal {
		keep = []string{"--no-journal"}
	}
	return harness.Config{
		Binary: b.path, Dir: dir, Password: password, Flags: append(keep, "--cycle", "0", "--end-with-stdin"),
		Input: true, Terminal: true,
		Change: func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "BREAK_CYBERDB="+b.fault) },
	}
}

// launch starts the binary and does not wait until it serves.
func launch(b binary, dir, policy string) (*server, error) {
	srv, err := harness.Launch(configOf(b, dir, policy))
	return &server{srv}, err
}

// errNoFault: the server has not said that it has the fault. A campaign that goes on would prove
// nothing.
var errNoFault = errors.New("the server does not have the fault: build it with the tag \"broken\"")

// startServer starts the binary and returns when it serves. Errors: errNoFault.
func startServer(b binary, dir, policy string) (*server, error) {
	srv, err := harness.Start(configOf(b, dir, policy), serverTimeout)
	if err != nil {
		return nil, err
	}
	if b.fault != "" && !slices.Contains(srv.Before(), "fault: "+b.fault) {
		srv.Kill()
		return nil, fmt.Errorf("%s, fault %q: %w", b.path, b.fault, errNoFault)
	}
	return &server{srv}, nil
}

// asked connects, and calls ask with the time that the server has for it.
func (srv *server) asked(ask func(ctx context.Context, db *client.Client) error) error {
	db, err := srv.connect()
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), serverTimeout)
	defer cancel()
	return ask(ctx, db)
}

// connect returns a client of one connection: its requests take effect in the order in which they
// are made.
func (srv *server) connect() (*client.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), serverTimeout)
	defer cancel()
	options := client.Options{Password: password, Conns: 1, WaitTimeout: time.Millisecond}
	return client.Open(ctx, srv.Addr(), &options)
}
