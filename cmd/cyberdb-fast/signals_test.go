package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/client"
	"cyberdb-fast/persist"
)

// filledItems is how many entries fillDaemon acknowledges.
const filledItems = 200

// daemon is the command in its own process and session, listening on a Unix socket.
type daemon struct {
	*testing.T
	*harness.Server
	dir string
	db  *client.Client
}

// startDaemon starts the command and waits until it serves. change, if not nil, is called before
// the start.
func startDaemon(t *testing.T, dir string, change func(*harness.Config), flags ...string) *daemon {
	t.Helper()
	d := &daemon{T: t, dir: dir}
	// so that the child does not ignore it, as under nohup
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	config := harness.Config{
		Binary: "cyberdb-fast", Dir: dir, Password: testPassword, Session: true,
		Flags: append([]string{"--host=", "--unix", filepath.Join(dir, "s")}, flags...),
	}
	if change != nil {
		change(&config)
	}
	var err error
	if d.Server, err = harness.Launch(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Kill)
	d.connect()
	return d
}

// filledDaemon is startDaemon, and then puts filledItems entries into it.
func filledDaemon(t *testing.T, change func(*harness.Config), flags ...string) *daemon {
	t.Helper()
	d := startDaemon(t, t.TempDir(), change, flags...)
	entries := client.DictOf[int, int](d.db, "d")
	err := entries.Create(t.Context())
	for i := range filledItems {
		err = errors.Join(err, entries.Set(t.Context(), i, i))
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// connect waits until the server takes a connection.
func (d *daemon) connect() {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), testTimeout)
	defer cancel()
	options := client.Options{Password: testPassword, Conns: 1, DialTimeout: testTimeout}
	for again := time.NewTicker(10 * time.Millisecond); ; <-again.C {
		db, err := client.Open(ctx, "unix://"+filepath.Join(d.dir, "s"), &options)
		if err == nil {
			d.db = db
			d.Cleanup(func() { _ = db.Close() })
			return
		}
		if ctx.Err() != nil || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
			d.Fatalf("%v\n%s", err, d.Log())
		}
	}
}

func (d *daemon) signal(sig syscall.Signal) {
	d.Helper()
	if err := d.Signal(sig); err != nil {
		d.Fatalf("%v: %v", sig, err)
	}
}

// ended waits for the end, and returns the exit code.
func (d *daemon) ended() int {
	d.Helper()
	if !d.EndsWithin(testTimeout) {
		d.Fatalf("it goes on\n%s", d.Log())
	}
	return d.ExitCode()
}

// saved: it ended with code 0, and its last save holds everything.
func (d *daemon) saved(reason string) {
	d.Helper()
	if code := d.ended(); code != 0 {
		d.Errorf("exit code %d\n%s", code, d.Log())
	}
	for _, line := range []string{"msg=stopping signal=" + reason, `msg="every change is on disk"`, "msg=stopped"} {
		d.logs(line)
	}
	file, err := persist.Open(persist.OS, filepath.Join(d.dir, "data.cdb"))
	if err != nil {
		d.Fatal(err)
	}
	defer file.Close()
	if n := file.Info().Items; n != filledItems {
		d.Errorf("%d of %d entries are saved", n, filledItems)
	}
}

// TestEndingSignals: every signal that ends the server shuts it down cleanly. Only a save can keep
// the changes here.
func TestEndingSignals(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGPWR, syscall.SIGXCPU,
		syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGSYS, syscall.SIGSTKFLT,
	} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			d := filledDaemon(t, nil, "--no-journal")
			d.signal(sig)
			d.saved("")
		})
	}
}

// TestOtherSignals: no other signal ends the server, and the log names those that may have been
// meant to do something.
func TestOtherSignals(t *testing.T) {
	t.Parallel()
	d := filledDaemon(t, nil, "--no-journal")
	others := []syscall.Signal{
		syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGIO,
		syscall.SIGPIPE, syscall.SIGXFSZ, syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG,
		syscall.SIGWINCH, syscall.SIGPROF,
	}
	// Signals 32 to 34 are the C library's own. The Go runtime does not handle them, so they kill.
	for sig := syscall.Signal(35); sig <= 64; sig++ {
		others = append(others, sig)
	}
	for _, sig := range others {
		d.signal(sig)
		if err := d.db.Ping(t.Context()); err != nil {
			t.Fatalf("after %v: %v\n%s", sig, err, d.Log())
		}
	}
	d.signal(syscall.SIGTERM)
	d.saved("terminated")
	for _, line := range []string{
		`msg="reloaded: nothing has changed"`,
		`msg="stacks of all goroutines" stacks="goroutine `,
		`msg=ignored signal="user defined signal 2"`, `msg=ignored signal="alarm clock"`,
	} {
		d.logs(line)
	}
}

// TestSecondSignal: signals within a second are one, and the end of standard input during a stop is
// no second one. A later signal cuts the stop short, a third does no more, and nothing is lost.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--fsync=always", "--fsync=everysec", "--fsync=no", "--no-journal"} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			d := filledDaemon(t, func(c *harness.Config) { c.Input = true }, flag, "--end-with-stdin")
			end, err := harness.Stall("unix://"+filepath.Join(d.dir, "s"), testPassword, testTimeout)
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			d.signal(syscall.SIGTERM)
			d.signal(syscall.SIGTERM)
			d.signal(syscall.SIGINT)
			_ = d.CloseInput()
			d.logs("msg=stopping")
			first := time.Now()
			if d.EndsWithin(sameSignal + 100*time.Millisecond) { // nothing is to happen meanwhile
				t.Fatalf("it ended after %v\n%s", time.Since(first), d.Log())
			}
			if strings.Contains(d.Log(), "stopping immediately") {
				t.Errorf("a repeated signal, or the end of input, has cut the stop short\n%s", d.Log())
			}
			d.signal(syscall.SIGINT)
			d.logs("stopping immediately")
			_ = d.Signal(syscall.SIGTERM) // it may have ended
			if code := d.ended(); code != exitFailed {
				t.Errorf("exit code %d of a stop that has dropped a connection", code)
			}
			if took := time.Since(first); took > stopTime-time.Second {
				t.Errorf("the end took %v", took)
			}
			d.logs("every change is on disk")
			again := startDaemon(t, d.dir, nil)
			n, err := client.DictOf[int, int](again.db, "d").Len(t.Context())
			if err != nil || n != filledItems {
				t.Errorf("%d of %d entries are there: %v", n, filledItems, err)
			}
		})
	}
}

// logs waits until the log holds a text.
func (d *daemon) logs(text string) {
	d.Helper()
	for end := time.Now().Add(testTimeout); !strings.Contains(d.Log(), text); {
		if time.Now().After(end) {
			d.Fatalf("nothing in the log about %q\n%s", text, d.Log())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// terminal opens a pseudo-terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave, err := harness.OpenTerminal()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	return master, slave
}

// TestTerminal: the keys of a terminal, and its end, cleanly shut down a server that was started
// there, whether its streams lead there or not.
func TestTerminal(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys, reason string // no keys: the terminal is hung up
		redirected   bool
	}{
		"ctrl-c":              {"\x03", "interrupt", false},
		"ctrl-backslash":      {"\x1c", "quit", false},
		"hang-up":             {"", "hangup", false},
		"hang-up, redirected": {"", "hangup", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			master, slave := terminal(t)
			d := filledDaemon(t, func(c *harness.Config) {
				c.Change = func(cmd *exec.Cmd) {
					cmd.SysProcAttr.Setctty = true
					if cmd.Stdin, cmd.Stdout = slave, slave; test.redirected {
						cmd.Stdin, cmd.Stdout, cmd.ExtraFiles, cmd.SysProcAttr.Ctty = nil, nil, []*os.File{slave}, 3
					}
				}
			}, "--no-journal")
			_ = slave.Close()
			if _, err := master.WriteString(test.keys); err != nil {
				t.Fatal(err)
			}
			if test.keys == "" {
				_ = master.Close()
			}
			d.saved(test.reason)
		})
	}
}

// TestNohup: a server that is to outlive its terminal does.
func TestNohup(t *testing.T) {
	t.Parallel()
	master, slave := terminal(t)
	d := filledDaemon(t, func(c *harness.Config) {
		path, err := exec.LookPath("nohup")
		if err != nil {
			t.Fatal(err)
		}
		c.Change = func(cmd *exec.Cmd) {
			cmd.Path, cmd.Args = path, append([]string{"nohup"}, cmd.Args...)
			cmd.SysProcAttr.Setctty, cmd.Stdin = true, slave
		}
	})
	_ = slave.Close()
	_ = master.Close()
	d.logs("reloaded: nothing has changed")
	if err := d.db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.signal(syscall.SIGTERM)
	d.saved("terminated")
}
