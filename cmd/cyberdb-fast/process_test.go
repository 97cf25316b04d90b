package main

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/client"
)

const testPassword = "a password for tests"

// process is the command as a process of its own.
type process struct {
	*harness.Server
	addr string
	dir  string
}

// startProcess starts a server on a port of its own. What it writes goes to out and errs; nil is
// /dev/null.
func startProcess(t *testing.T, out, errs *os.File, flags ...string) *process {
	t.Helper()
	// TestMain goes by the name
	return startCommand(
		t,
		func(cmd *exec.Cmd) { cmd.Path, cmd.Args[0] = os.Args[0], "cyberdb-fast" },
		out,
		errs,
		flags...)
}

// startCommand is startProcess for a command that is changed before the start.
func startCommand(t *testing.T, change func(*exec.Cmd), out, errs *os.File, flags ...string) *process {
	t.Helper()
	nowhere, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer nowhere.Close()
	dir := t.TempDir()
	srv, err := harness.Launch(harness.Config{
		Binary: os.Args[0], Dir: filepath.Join(dir, "data"), Password: testPassword, Flags: flags,
		Stdout: cmp.Or(out, nowhere), Stderr: cmp.Or(errs, nowhere), Change: change,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Kill)
	return &process{srv, srv.Addr(), dir}
}

// longPatience is for the derivation of a key from a password, which is slow by design, under the
// race detector.
const longPatience = time.Minute

// client returns a client of the server, which has sent its first request, once the server listens.
func (p *process) client(t *testing.T, password string) *client.Client {
	t.Helper()
	p.awaitListening(t)
	db, err := client.New(
		client.Options{Addr: p.addr, Password: password, DialTimeout: longPatience, WaitTimeout: longPatience},
	)
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
	if err := p.AwaitListening(longPatience); err != nil {
		t.Fatal(err)
	}
}

// stop ends the server by SIGTERM, which must take less than the given time, and returns its exit
// code.
func (p *process) stop(t *testing.T, within time.Duration) int {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.exitCode(t, within)
}

// exitCode waits for the end.
func (p *process) exitCode(t *testing.T, within time.Duration) int {
	t.Helper()
	if !p.EndsWithin(within) {
		t.Fatalf("the server has not ended within %v", within)
	}
	return p.ExitCode()
}
