package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// hangingReader takes what is written while it is open, and lets the writer wait while it is not.
type hangingReader struct {
	sync.Mutex // held: it hangs
	text       bytes.Buffer
}

func (r *hangingReader) Write(b []byte) (int, error) {
	r.Lock()
	defer r.Unlock()
	return r.text.Write(b)
}

// logged returns the lines that r has taken once the queue is closed.
func (r *hangingReader) logged(t *testing.T, q *logQueue) []string {
	t.Helper()
	q.close(30 * time.Second)
	select {
	case <-q.done:
	default:
		t.Fatal("the queue is not written")
	}
	return strings.Split(strings.TrimSuffix(r.text.String(), "\n"), "\n")
}

// TestLogOfHangingReader: no line waits for a reader that hangs. Once it reads again it gets the
// first lines, in order, every line with a stack, and how many were dropped.
func TestLogOfHangingReader(t *testing.T) {
	t.Parallel()
	const lines, panics = 100_000, 1000
	r := &hangingReader{}
	q := newLogQueue(r)
	log := newLogger(q, textLines, slog.LevelInfo)
	r.Lock()
	for i := range lines {
		log.Info("line", slog.Int("number", i))
		if i%(lines/panics) == 0 {
			log.Error("panic", slog.Int("number", i), slog.String("stack", strings.Repeat("main.f()\n", 400)))
		}
	}
	dropped := int(q.dropped.Load())
	if dropped == 0 || dropped >= lines {
		t.Fatalf("%d of %d lines are dropped", dropped, lines)
	}
	r.Unlock()
	got, kept, seen := r.logged(t, q), 0, 0
	for _, line := range got[:len(got)-1] {
		want := fmt.Sprintf("msg=line number=%d", kept)
		if strings.Contains(line, "msg=panic") {
			want = fmt.Sprintf("msg=panic number=%d stack=", seen*lines/panics)
			seen++
		} else {
			kept++
		}
		if !strings.Contains(line, want) {
			t.Fatalf("the line %q is not %q", line, want)
		}
	}
	if kept+dropped != lines || seen != panics {
		t.Errorf(
			"%d lines are kept and %d dropped of %d; %d panics are kept of %d",
			kept,
			dropped,
			lines,
			seen,
			panics,
		)
	}
	if want := fmt.Sprintf(
		`level=WARN msg="%d lines of the log were dropped: no program read them"`,
		dropped,
	); !strings.Contains(
		got[len(got)-1],
		want,
	) {
		t.Errorf("the last line is %q, not %q", got[len(got)-1], want)
	}
}

// fullDisk has room for some bytes.
type fullDisk struct {
	sync.Mutex
	room int
	text bytes.Buffer
}

func (d *fullDisk) Write(b []byte) (int, error) {
	d.Lock()
	defer d.Unlock()
	n := min(len(b), d.room)
	d.room -= n
	d.text.Write(b[:n])
	if n < len(b) {
		return n, unix.ENOSPC
	}
	return n, nil
}

// TestLogOnFullDisk: lines that cannot be written are dropped, whole, and counted once there is
// room.
func TestLogOnFullDisk(t *testing.T) {
	t.Parallel()
	for room := range 40 {
		synctest.Test(t, func(t *testing.T) {
			disk := &fullDisk{room: room}
			q := newLogQueue(disk)
			say := func(line string) {
				_, _ = logWriter{q, lineRoom}.Write([]byte(line + "\n"))
				synctest.Wait()
			}
			want := ""
			for i := range 5 {
				line := fmt.Sprintf("line %d", i)
				say(line)
				if 7*(i+1) <= room {
					want += line + "\n"
				}
			}
			disk.Lock()
			disk.room = 1 << 20
			disk.Unlock()
			say("room again")
			q.close(time.Second)
			text := disk.text.String()
			if !strings.HasPrefix(text, want) || strings.Count(text, "room again\n") != 1 ||
				!strings.Contains("\n"+text, "\nroom again\n") {
				t.Errorf("room for %d bytes: the disk holds %q", room, text)
			}
			if lost := 5 - strings.Count(want, "\n"); int(q.dropped.Load()) != lost ||
				lost > 0 &&
					!strings.Contains(
						text,
						fmt.Sprintf("%d lines of the log were dropped: no space left on device", lost),
					) {
				t.Errorf("room for %d bytes: %d lines are dropped: %q", room, q.dropped.Load(), text)
			}
		})
	}
}

// TestLogEndsInTime: the end waits for a reader that hangs for the given time, and no longer.
func TestLogEndsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		q := newLogQueue(writerFunc(func(b []byte) (int, error) {
			<-release
			return len(b), nil
		}))
		newLogger(q, textLines, slog.LevelInfo).Info("line")
		start := time.Now()
		q.close(flushTime)
		if took := time.Since(start); took != flushTime {
			t.Errorf("the end takes %v", took)
		}
		close(release)
	})
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
