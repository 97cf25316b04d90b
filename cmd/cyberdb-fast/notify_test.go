package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/bench/harness"
)

// dropPassword takes the password out of a server's environment.
func dropPassword(cmd *exec.Cmd) {
	kept := cmd.Env[:0]
	for _, variable := range cmd.Env {
		if !strings.HasPrefix(variable, "CYBERDB_PASSWORD") {
			kept = append(kept, variable)
		}
	}
	cmd.Env = kept
}

// manager is the socket of a service manager.
type manager struct {
	*testing.T
	*net.UnixConn
	heard string
}

func newManager(t *testing.T, path string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{T: t, UnixConn: conn}
}

// hears waits until a message matches.
func (m *manager) hears(pattern string) {
	m.Helper()
	b := make([]byte, 4096)
	_ = m.SetReadDeadline(time.Now().Add(testTimeout))
	for {
		n, err := m.Read(b)
		if err != nil {
			m.Fatalf("no message matches %s in %q: %v", pattern, m.heard, err)
		}
		m.heard += string(b[:n]) + "\n\n"
		if regexp.MustCompile(pattern).Match(b[:n]) {
			return
		}
	}
}

// TestNotify: the service manager hears of each state, and the watchdog is fed.
func TestNotify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := newManager(t, filepath.Join(dir, "notify"))
	d := filledDaemon(t, func(c *harness.Config) {
		c.Change = func(cmd *exec.Cmd) {
			cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=200000")
		}
	})
	m.hears(`^STATUS=loading .*/data\.cdb$`)
	m.hears(`^READY=1\nSTATUS=serving 0 tables to \d connections on .*/s$`)
	m.hears(`^WATCHDOG=1$`)
	m.hears(`^WATCHDOG=1$`)
	m.hears(`^STATUS=serving 1 tables to 1 connections`)
	d.signal(syscall.SIGHUP)
	m.hears(`^RELOADING=1\nMONOTONIC_USEC=\d+$`)
	m.hears(`^READY=1\nSTATUS=serving 1 tables`)
	d.signal(syscall.SIGTERM)
	m.hears(`^STOPPING=1\nSTATUS=stopping: terminated$`)
	d.saved("terminated")
}

// fillSocket sends to a socket until it takes no more.
func fillSocket(t *testing.T, path string) {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		_, err = conn.Write([]byte("x"))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}

// TestNotifyHung: a service manager that does not read holds nothing up, and neither does one that
// is not there.
func TestNotifyHung(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]bool{"does not read": true, "is not there": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := filepath.Join(t.TempDir(), "notify")
			if listen {
				newManager(t, socket)
				fillSocket(t, socket)
			}
			d := filledDaemon(t, func(c *harness.Config) {
				c.Change = func(cmd *exec.Cmd) {
					cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=2000")
				}
			})
			d.signal(syscall.SIGHUP)
			d.logs("reloaded")
			if !listen {
				d.logs("cannot notify the service manager")
			}
			d.signal(syscall.SIGTERM)
			d.saved("terminated")
		})
	}
}
