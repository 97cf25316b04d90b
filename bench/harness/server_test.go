package harness

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const within = 20 * time.Second

// script returns a program in the place of a server.
func script(t *testing.T, text string) Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return Config{Binary: path, Dir: "data", Password: "secret"}
}

// TestStart: the address is the reported one, what was said before it is kept, and password and
// flags reach the server.
func TestStart(t *testing.T) {
	c := script(t, `echo "$CYBERDB_PASSWORD $*" >&2
echo starting
echo "  listening   127.0.0.1:4711"
read line
exit 3
`)
	c.Flags, c.Input, c.Terminal, c.Files = []string{"--encrypt"}, true, true, 100
	s, err := Start(c, within)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	if s.Addr() != "127.0.0.1:4711" {
		t.Errorf("the address is %q", s.Addr())
	}
	if !slices.Equal(s.Before(), []string{"starting"}) {
		t.Errorf("it said %q before", s.Before())
	}
	if u, err := s.Usage(); err != nil || u.Descriptors < 3 || u.Resident == 0 || u.Peak < u.Resident {
		t.Errorf("it uses %+v: %v", u, err)
	}
	if err := s.CloseInput(); err != nil {
		t.Fatal(err)
	}
	if !s.EndsWithin(within) || s.ExitCode() != 3 {
		t.Errorf("exit code %d", s.ExitCode())
	}
	if want := "secret --port 0 --dir data --encrypt\n"; s.Log() != want {
		t.Errorf("the log is %q, not %q", s.Log(), want)
	}
}

// TestStartFails: the error of a server that ends before it listens has its log.
func TestStartFails(t *testing.T) {
	_, err := Start(script(t, "echo no room >&2\nexit 2\n"), within)
	if err == nil || !strings.Contains(err.Error(), "exit status 2\nno room") {
		t.Errorf("the error is %v", err)
	}
	if _, err := Start(Config{Binary: filepath.Join(t.TempDir(), "none")}, within); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no program: %v", err)
	}
}

// TestStop: the exit code shows a clean shutdown, and a server that does not end is killed.
func TestStop(t *testing.T) {
	for _, test := range []struct {
		trap, want string
		within     time.Duration
	}{
		{"exit 0", "", within},
		{"echo lost >&2; exit 1", "exit status 1\nlost", within},
		{"", "did not stop", 50 * time.Millisecond},
	} {
		s, err := Start(
			script(t, "trap '"+test.trap+"' TERM\necho listening here\nwhile :; do read line; done\n"),
			within,
		)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Stop(test.within)
		if test.want == "" && err != nil ||
			test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("on %q: %v", test.trap, err)
		}
		if !s.EndsWithin(0) {
			t.Errorf("on %q it goes on", test.trap)
		}
	}
}

// TestHangUp: the terminal is the server's own.
func TestHangUp(t *testing.T) {
	c := script(t, "trap 'exit 4' HUP\necho listening here\nwhile :; do sleep 0.01; done\n")
	c.Terminal = true
	s, err := Start(c, within)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	if err := s.SignalGroup(syscall.SIGCONT); err != nil {
		t.Errorf("its group: %v", err)
	}
	if err := s.HangUp(); err != nil || !s.EndsWithin(within) || s.ExitCode() != 4 {
		t.Errorf("exit code %d: %v", s.ExitCode(), err)
	}
}

// TestFullPipe: it accepts no byte.
func TestFullPipe(t *testing.T) {
	reader, writer, err := FullPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(writer.Fd()), Events: unix.POLLOUT}}, 0)
	if err != nil || ready != 0 {
		t.Errorf("it takes more: %v", err)
	}
}
