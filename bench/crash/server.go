package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"cyberdb-fast/client"
)

const (
	password = "correct horse battery staple"
	// patience bounds every wait for the server.
	patience = 30 * time.Second
)

// server is the real server, in a process of its own.
type server struct {
	cmd      *exec.Cmd
	addr     string         // TCP
	log      bytes.Buffer   // to be read when the process has ended
	input    io.WriteCloser // its standard input
	terminal *os.File       // the other side of its controlling terminal
	done     chan struct{}
	err      error // how it ended; valid when done is closed
}

// noJournal is the policy of a server that keeps no journal.
const noJournal = "no journal"

// launch starts the binary in a session of its own, and does not wait until it serves.
func launch(binary, dir, policy string) (*server, *bufio.Scanner, error) {
	srv := &server{done: make(chan struct{})}
	keep := []string{"--fsync", policy}
	if policy == noJournal {
		keep = []string{"--no-journal"}
	}
	srv.cmd = exec.Command(binary, append(keep, "--port", "0", "--dir", dir, "--cycle", "0", "--end-with-stdin")...)
	srv.cmd.Env = append(os.Environ(), "CYBERDB_PASSWORD="+password)
	srv.cmd.Stderr = &srv.log
	master, slave, err := openTerminal()
	if err != nil {
		return nil, nil, err
	}
	defer slave.Close()
	srv.terminal, srv.cmd.ExtraFiles = master, []*os.File{slave}
	srv.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true, Setctty: true, Ctty: 3}
	srv.input, err = srv.cmd.StdinPipe()
	out, banner, pipeErr := os.Pipe()
	if err := errors.Join(err, pipeErr); err != nil {
		master.Close()
		return nil, nil, err
	}
	srv.cmd.Stdout = banner
	err = srv.cmd.Start()
	banner.Close()
	if err != nil {
		out.Close()
		master.Close()
		return nil, nil, err
	}
	go func() {
		srv.err = srv.cmd.Wait()
		out.Close()
		master.Close()
		close(srv.done)
	}()
	return srv, bufio.NewScanner(out), nil
}

// startServer starts the binary and returns when it serves.
func startServer(binary, dir, policy string) (*server, error) {
	srv, banner, err := launch(binary, dir, policy)
	if err != nil {
		return nil, err
	}
	late := time.AfterFunc(patience, func() { _ = srv.cmd.Process.Kill() })
	defer late.Stop()
	for srv.addr == "" && banner.Scan() {
		if fields := strings.Fields(banner.Text()); len(fields) > 1 && fields[0] == "listening" {
			srv.addr = fields[1]
		}
	}
	if srv.addr == "" {
		srv.kill()
		return nil, fmt.Errorf("the server did not start: %w\n%s", srv.err, srv.log.String())
	}
	go func() {
		for banner.Scan() {
		}
	}()
	return srv, nil
}

// stop ends the server in order.
func (srv *server) stop() error {
	if err := srv.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("the server: %w", err)
	}
	if !srv.endsWithin(patience) {
		srv.kill()
		return fmt.Errorf("the server did not stop in %v", patience)
	}
	if srv.err != nil {
		return fmt.Errorf("the server ended with %w\n%s", srv.err, srv.log.String())
	}
	return nil
}

// endsWithin waits for the end, and says whether it has come.
func (srv *server) endsWithin(d time.Duration) bool {
	select {
	case <-srv.done:
		return true
	case <-time.After(d):
		return false
	}
}

// kill ends it by SIGKILL.
func (srv *server) kill() {
	_ = srv.cmd.Process.Kill()
	<-srv.done
}

// connect returns a client of one connection: its requests take effect in the order in which they are made.
func (srv *server) connect() (*client.Client, error) { return srv.connectBy(nil) }

// dialer opens the connection of a client; nil is the usual one.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (srv *server) connectBy(dial dialer) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	options := client.Options{Password: password, Conns: 1, WaitTimeout: time.Millisecond, Dial: dial}
	return client.Open(ctx, srv.addr, &options)
}
