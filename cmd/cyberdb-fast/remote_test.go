package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/client"
)

// talker is a person at a terminal in which a shell runs.
type talker struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	home string

	mu   sync.Mutex
	seen bytes.Buffer // what the shell has written since the last expect
}

// talkWith opens a shell on a terminal of this size.
func talkWith(t *testing.T, addr string, columns, rows uint16, args ...string) *talker {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command(os.Args[0], append([]string{"cli", "cyberdb://" + addr}, args...)...)
	cmd.Args[0] = "cyberdb-fast"
	cmd.Env = append(os.Environ(), "CYBERDB_PASSWORD="+testPassword, "XDG_STATE_HOME="+home, "TERM=xterm", "NO_COLOR=1")
	tty, theirs, err := harness.OpenTerminal()
	if err == nil {
		err = unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	_ = theirs.Close() // the shell has it
	if err != nil {
		t.Fatal(err)
	}
	k := &talker{t: t, cmd: cmd, tty: tty, home: home}
	go k.read()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, usually
		_, _ = cmd.Process.Wait()
		_ = tty.Close()
	})
	k.expect(">>> ")
	return k
}

func (k *talker) read() {
	part := make([]byte, 4096)
	for {
		n, err := k.tty.Read(part)
		k.mu.Lock()
		k.seen.Write(part[:n])
		k.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// types types a text, and waits until the shell has written another one.
func (k *talker) types(text, until string) string {
	k.t.Helper()
	if _, err := k.tty.WriteString(text); err != nil {
		k.t.Fatal(err)
	}
	return k.expect(until)
}

// expect waits until the shell has written a text, and returns what comes before it.
func (k *talker) expect(text string) string {
	k.t.Helper()
	for deadline := time.Now().Add(testTimeout); ; time.Sleep(5 * time.Millisecond) {
		k.mu.Lock()
		if before, after, found := strings.Cut(k.seen.String(), text); found {
			k.seen.Reset()
			k.seen.WriteString(after)
			k.mu.Unlock()
			return before
		}
		seen := k.seen.String()
		k.mu.Unlock()
		if time.Now().After(deadline) {
			k.t.Fatalf("no %q in %q", text, seen)
		}
	}
}

// ends waits for the shell to end in order.
func (k *talker) ends() {
	k.t.Helper()
	if err := k.cmd.Wait(); err != nil {
		k.t.Fatal(err)
	}
}

// startListening starts a server and waits until it listens.
func startListening(t *testing.T) *process {
	t.Helper()
	p := startProcess(t, nil, nil)
	if err := p.AwaitListening(testTimeout); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTalk: a person opens tables, makes mistakes, and leaves; at 20 columns too.
func TestTalk(t *testing.T) {
	p := startListening(t)
	for _, columns := range []uint16{80, 20} {
		t.Run(fmt.Sprintf("%d columns", columns), func(t *testing.T) {
			k := talkWith(t, p.addr, columns, 10)
			k.types("d = dict(\"d\")\r", ">>> ")
			k.types("d.clear()\r", ">>> ")
			k.types("d.update({\r", "... ")
			k.types("'a': 1, 'apple': (2, None)})\r", ">>> ")
			k.types("d\r", "{'a': 1,\r\n 'apple': (2, None)}\r\n")
			k.types("d['ap\t", "apple']")
			k.types("\r", "(2, None)\r\n")
			k.types("d.compare\t", "and_set(")
			k.types("\x03", ">>> ")
			k.types("1 $ 2\r", "  1 $ 2\r\n    ^\r\nSyntaxError: ")
			k.types("d['b']\r", "KeyError: 'b'\r\n")
			k.types("d[\"\u65e5\u672c\"] = \"caf\u00e9\"; d[\"\u65e5\u672c\"]\r", "'caf\u00e9'\r\n")
			k.types("\x04", "\r\n")
			k.ends()
		})
	}
}

// TestPages: the first page of a large table comes at once; q, Ctrl-C and the end of the table end
// it; the shell needs no memory for the rest.
func TestPages(t *testing.T) {
	p := startListening(t)
	fillLarge(t, p.addr)
	k := talkWith(t, p.addr, 80, 24)
	start := time.Now()
	for _, key := range []string{"q", "\x03", "\x04", "\x1b"} {
		k.types("large\r", "{0: 'value',\r\n")
		k.expect("-- space, q --")
		k.types(key, ">>> ")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the first pages took %v", took)
	}
	k.types("large\r", "-- space, q --")
	k.types(" ", "-- space, q --")
	k.types("\r", "-- space, q --")
	k.types("q", ">>> ")
	k.types("large.keys()\r", "-- space, q --")
	k.types("q", ">>> ")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", k.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var peak int // KiB
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &peak); err != nil || peak > 200<<10 {
		t.Errorf("the shell has used %d KiB, %v", peak, err)
	}
	k.types("\x04", "\r\n")
	k.ends()
}

// fillLarge makes a dict with a million entries.
func fillLarge(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*testTimeout)
	defer cancel()
	db, err := client.Open(ctx, "cyberdb://"+addr, &client.Options{Password: testPassword, DialTimeout: testTimeout})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	large := client.DictOf[int, string](db, "large")
	if _, err := large.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	const entries, batch = 1_000_000, 100_000
	for at := 0; at < entries; at += batch {
		err := large.Update(ctx, func(yield func(int, string) bool) {
			for i := at; i < at+batch && yield(i, "value"); i++ {
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestHistory: lines are there again in the next session, for their owner alone, without passwords.
func TestHistory(t *testing.T) {
	p := startListening(t)
	k := talkWith(t, p.addr, 80, 24)
	k.types("1, 'kept'\r", ">>> ")
	k.types("'"+testPassword+"'\r", ">>> ")
	k.types("'cyberdb://:other@host'\r", ">>> ")
	k.types("\x1b[A\x1b[A\r", "(1, 'kept')\r\n")
	k.types("\x04", "\r\n")
	k.ends()
	file := filepath.Join(k.home, "cyberdb-fast", "history")
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), testPassword) || strings.Contains(string(text), "other") ||
		!strings.HasPrefix(string(text), "1, 'kept'\n") {
		t.Errorf("the history is %q, %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// TestInterrupt: Ctrl-C ends a request that waits, and the shell continues.
func TestInterrupt(t *testing.T) {
	p := startListening(t)
	k := talkWith(t, p.addr, 80, 24, "--timeout", "1h")
	if err := p.Signal(syscall.SIGSTOP); err != nil { // the server answers no more
		t.Fatal(err)
	}
	if _, err := k.tty.WriteString("exists('x')\r"); err != nil {
		t.Fatal(err)
	}
	k.expect("exists('x')")
	k.types("\x03", "KeyboardInterrupt\r\n>>> ")
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	k.types("exists('x')\r", "False\r\n")
}

// TestPingElsewhere: servers that are of another kind, hang, or close the connection are reported
// in one line, within the time limit.
func TestPingElsewhere(t *testing.T) {
	for name, answer := range map[string]func(conn net.Conn){
		"http": func(conn net.Conn) {
			_, _ = bufio.NewReader(conn).ReadByte()
			fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
		},
		"hangs":  func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1<<20)); time.Sleep(testTimeout) },
		"closes": func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						answer(conn)
					}()
				}
			}()
			cmd := exec.Command(os.Args[0], "ping", "cyberdb://:x@"+ln.Addr().String(), "--timeout", "1s")
			cmd.Args[0] = "cyberdb-fast"
			start := time.Now()
			out, err := cmd.CombinedOutput()
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if cmd.ProcessState.ExitCode() != exitFailed || bytes.Count(out, []byte("\n")) != 1 {
				t.Errorf("%v: %s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// TestServerGoesAway: a session and a view say at once that there is no server any more.
func TestServerGoesAway(t *testing.T) {
	p := startListening(t)
	k := talkWith(t, p.addr, 200, 24)
	stat := exec.Command(os.Args[0], "stat", "cyberdb://"+p.addr)
	stat.Args[0] = "cyberdb-fast"
	stat.Env = append(os.Environ(), "CYBERDB_PASSWORD="+testPassword)
	var complaint bytes.Buffer
	stat.Stderr = &complaint
	out, err := stat.StdoutPipe()
	if err == nil {
		err = stat.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 2 { // the titles, and a second
		lines.Scan()
	}
	if err := p.Stop(testTimeout); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	k.types("exists('x')\r", "no server at cyberdb://"+p.addr+" (connection refused)")
	if took := time.Since(start); took > remoteTimeout/2 {
		t.Errorf("the session has waited for %v", took)
	}
	for lines.Scan() {
	}
	_ = stat.Wait() // the exit code says more
	says := "cyberdb-fast: no server at cyberdb://" + p.addr + " (connection refused): start one"
	if stat.ProcessState.ExitCode() != exitFailed || !strings.HasPrefix(complaint.String(), says) {
		t.Errorf("stat ends with %v: %s", stat.ProcessState, &complaint)
	}
}
