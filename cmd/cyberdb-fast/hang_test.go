package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/client"
	"cyberdb-fast/persist"
)

// endTime is how long an idle server may take to end; waiting for a reader may take a second of it.
const endTime = 8 * time.Second

// hungPipe returns a pipe that is full.
func hungPipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := harness.FullPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = reader.Close()
		_ = writer.Close()
	})
	return reader, writer
}

// servesThroughout makes a table of the server, and more lines of the log than the queue holds:
// requests, wrong passwords, and a save.
func servesThroughout(t *testing.T, p *process) {
	t.Helper()
	db := p.client(t, testPassword)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	d := client.DictOf[int, int](db, "d")
	if err := d.Create(ctx); err != nil {
		t.Fatal(err)
	}
	_ = p.client(t, "wrong")
	slowest := time.Duration(0)
	begin := time.Now()
	for again := true; again; again = droppedLines(t, db) == 0 {
		for i := range 1000 {
			start := time.Now()
			if err := d.Set(ctx, i, i); err != nil {
				t.Fatal(err)
			}
			slowest = max(slowest, time.Since(start))
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("no line of the log is dropped")
		}
	}
	t.Logf("the slowest request took %v", slowest)
	if slowest > 5*time.Second {
		t.Errorf("a request took %v", slowest)
	}
	if err := db.Save(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.Set(ctx, -1, 0); err != nil {
		t.Fatal(err)
	}
}

// droppedLines returns what INFO says of the log.
func droppedLines(t *testing.T, db *client.Client) uint64 {
	t.Helper()
	info, err := db.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(fmt.Sprint(info["dropped_log_lines"]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// savedAll fails the test if the file lacks what servesThroughout has done.
func savedAll(t *testing.T, p *process) {
	t.Helper()
	r, err := persist.Open(persist.OS, filepath.Join(p.dir, "data", "data.cdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if n := r.Info().Items; n != 1001 {
		t.Errorf("%d items are saved", n)
	}
}

// TestHungLog: while nothing reads the log the server serves, saves and ends.
func TestHungLog(t *testing.T) {
	_, writer := hungPipe(t)
	unread(t, startProcess(t, nil, writer, "--print-log", "--cycle", "1"))
}

// TestLogReaderComesBack: it gets whole lines, and how many are missing.
func TestLogReaderComesBack(t *testing.T) {
	reader, writer := hungPipe(t)
	p := startProcess(t, nil, writer, "--print-log", "--cycle", "1")
	_ = writer.Close()
	servesThroughout(t, p)
	timeout := time.AfterFunc(2*time.Minute, func() { _ = p.Signal(unix.SIGKILL) })
	defer timeout.Stop()
	lines, reported := bufio.NewReader(reader), false
	if _, err := lines.ReadString('t'); err != nil { // what filled the pipe
		t.Fatal(err)
	}
	_ = lines.UnreadByte()
	for ended := false; !ended; {
		line, err := lines.ReadString('\n')
		switch {
		case err == io.EOF && line == "":
			ended = true
		case err != nil || !strings.HasPrefix(line, "time="):
			t.Fatalf("the line %q: %v", line, err)
		case strings.Contains(line, "lines of the log were dropped: no program read them") && !reported:
			reported = true
			if err := p.Signal(unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if code := p.exitCode(t, endTime); code != exitOK || !reported {
		t.Errorf("exit code %d; reported: %v", code, reported)
	}
	savedAll(t, p)
}

// TestCrashOnHungLog: what Go says of a crash waits for the reader, and is not lost, whatever else
// waits for it.
func TestCrashOnHungLog(t *testing.T) {
	reader, writer := hungPipe(t)
	p := startProcess(t, nil, writer, "--print-log")
	_ = writer.Close()
	servesThroughout(t, p)
	db := p.client(t, testPassword)
	noMemory := unix.Rlimit{Cur: 1, Max: 1} // the next memory that Go asks for ends the process
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_AS, &noMemory, nil); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = client.DictOf[string, string](db, "d").Contains(t.Context(), strings.Repeat("k", 30<<20))
	}()
	text, err := io.ReadAll(reader) // to the end of the process
	if err != nil {
		t.Fatal(err)
	}
	code := p.exitCode(t, endTime)
	// of -race
	said := strings.Contains(string(text), "fatal error: ") || strings.Contains(string(text), "ThreadSanitizer")
	if code == exitOK || !said {
		t.Errorf(
			"exit code %d; the log does not say why: %d bytes, the last %q",
			code,
			len(text),
			text[max(0, len(text)-200):],
		)
	}
}

// TestLogCannotBeWritten: a full disk, a reader that is gone, and streams that are closed end no
// server.
func TestLogCannotBeWritten(t *testing.T) {
	t.Run("full disk", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		unread(t, startProcess(t, full, full, "--print-log"))
	})
	t.Run("reader gone", func(t *testing.T) {
		reader, writer := hungPipe(t)
		_ = reader.Close()
		unread(t, startProcess(t, writer, writer, "--print-log"))
	})
	t.Run("closed", func(t *testing.T) {
		p := startCommand(t, func(cmd *exec.Cmd) {
			bash := exec.Command(
				"bash",
				append([]string{"-c", `exec -a cyberdb-fast "$0" "$@" >&- 2>&-`}, cmd.Args...)...)
			cmd.Path, cmd.Args = bash.Path, bash.Args
		}, nil, nil, "--print-log")
		_ = p.client(t, testPassword)
		if code := p.stop(t, endTime); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	})
}

// unread checks a server whose log is not read.
func unread(t *testing.T, p *process) {
	t.Helper()
	servesThroughout(t, p)
	if code := p.stop(t, endTime); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	savedAll(t, p)
}

// TestHungScreen: the banner waits for its reader alone.
func TestHungScreen(t *testing.T) {
	_, writer := hungPipe(t)
	p := startProcess(t, writer, nil)
	_ = p.client(t, testPassword)
	if code := p.stop(t, endTime); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestHungStart: a server that cannot start ends in time though nothing reads why, and says why to
// a reader that is slow.
func TestHungStart(t *testing.T) {
	for _, flags := range [][]string{{"--no-such-flag"}, {"--host", "192.0.2.1"}} {
		_, writer := hungPipe(t)
		start := time.Now()
		if code := startProcess(t, nil, writer, flags...).exitCode(t, endTime); code != exitUsage {
			t.Errorf("%v: exit code %d", flags, code)
		}
		t.Logf("%v: ended after %v", flags, time.Since(start))

		reader, writer := hungPipe(t)
		p := startProcess(t, nil, writer, flags...)
		_ = writer.Close()
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if code := p.exitCode(t, endTime); code != exitUsage || !strings.Contains(string(text), "cyberdb-fast: ") {
			t.Errorf("%v: exit code %d, %q", flags, code, strings.TrimLeft(string(text), "\x00"))
		}
	}
}
