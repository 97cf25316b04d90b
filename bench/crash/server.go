package main

import (
	"context"
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

// configOf is the configuration of a server with this fsync policy.
func configOf(binary, dir, policy string) harness.Config {
	keep := []string{"--fsync", policy}
	if policy == noJournal {
		keep = []string{"--no-journal"}
	}
	return harness.Config{
		Binary: binary, Dir: dir, Password: password, Flags: append(keep, "--cycle", "0", "--end-with-stdin"),
		Input: true, Terminal: true,
	}
}

// launch starts the binary and does not wait until it serves.
func launch(binary, dir, policy string) (*server, error) {
	srv, err := harness.Launch(configOf(binary, dir, policy))
	return &server{srv}, err
}

// startServer starts the binary and returns when it serves.
func startServer(binary, dir, policy string) (*server, error) {
	srv, err := harness.Start(configOf(binary, dir, policy), serverTimeout)
	return &server{srv}, err
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
