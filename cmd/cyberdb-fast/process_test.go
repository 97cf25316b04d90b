package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/client"
)

const testPassword = "a password for tests"

// process is the command as a process of its own.
type process struct {
	*exec.Cmd
	addr  string
	dir   string
	ended chan error
}

// startProcess starts a server on a port of its own. What it writes goes to out and errs; nil is
// /dev/null.
func startProcess(t *testing.T, out, errs *os.File, flags ...string) *process {
	t.Helper()
	return startCommand(t, func(args []string) *exec.Cmd {
		return &exec.Cmd{Path: os.Args[0], Args: append([]string{"cyberdb-fast"}, args...)} // TestMain goes by the name
	}, out, errs, flags...)
}

// startCommand is startProcess for a command that starts the server.
func startCommand(t *testing.T, command func(args []string) *exec.Cmd, out, errs *os.File, flags ...string) *process {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{addr: net.JoinHostPort("127.0.0.1", port), dir: t.TempDir(), ended: make(chan error, 1)}
	p.Cmd = command(append([]string{"--port", port, "--dir", filepath.Join(p.dir, "data")}, flags...))
	p.Env = append(os.Environ(), "CYBERDB_PASSWORD="+testPassword)
	if out != nil {
		p.Stdout = out
	}
	if errs != nil {
		p.Stderr = errs
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// longPatience is for the derivation of a key from a password, which is slow by design, under the
// race detector.
const longPatience = time.Minute

// client returns a client of the server, which has sent its first request, once the server listens.
func (p *process) client(t *testing.T, password string) *client.Client {
	t.Helper()
	p.awaitListening(t)
	db, err := client.New(client.Options{Addr: p.addr, Password: password, DialTimeout: longPatience, WaitTimeout: longPatience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Ping(t.Context()); errors.Is(err, client.ErrWrongPassword) != (password != testPassword) {
		t.Fatal(err)
	}
	return db
}

// awaitListening returns when the server listens.
func (p *process) awaitListening(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(longPatience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// stop ends the server by SIGTERM, which must take less than the given time, and returns its exit
// code.
func (p *process) stop(t *testing.T, within time.Duration) int {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.exitCode(t, within)
}

// exitCode waits for the end.
func (p *process) exitCode(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case err := <-p.ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return p.ProcessState.ExitCode()
	case <-time.After(within):
		t.Fatalf("the server has not ended within %v", within)
	}
	return -1
}
