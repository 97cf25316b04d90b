package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// How many bytes may wait to be written, for a line to join them. What matters more has room that
// other lines cannot take.
const (
	frameRoom  = 4 << 10 // of a progress bar
	lineRoom   = 1 << 20
	errorRoom  = 2 << 20 // of lines of the level ERROR
	defectRoom = 8 << 20 // of those that have a stack, and of the reason why the server does not start
)

const (
	// pieceBytes is what a pipe takes whole or not at all: PIPE_BUF of pipe(7). An end in the
	// middle of a write leaves no half line.
	pieceBytes = 4096
	// flushTime is how long the end of the process may wait for what reads the log.
	flushTime = time.Second
)

// logQueue takes lines and writes them in order, on a goroutine of its own: a reader that hangs
// blocks that goroutine alone. Lines for which there is no room, or that cannot be written, are
// dropped and counted; a line says so once the reader is back.
//
// Its methods may be called from any goroutine, and none but close waits.
type logQueue struct {
	to      io.Writer
	dropped atomic.Uint64 // lines, since the start
	done    chan struct{} // closed when all is written after close

	mu     sync.Mutex
	more   *sync.Cond // lines or closed has changed
	lines  []byte     // guarded by mu
	taken  int        // bytes that run has taken and not written yet; guarded by mu
	lost   loss       // what no line has reported; guarded by mu
	closed bool       // guarded by mu

	torn bool // the last line that was written lacks its end; owned by run
}

// loss is how many lines were dropped, and why; err is nil if there was no room.
type loss struct {
	lines uint64
	err   error
}

func newLogQueue(to io.Writer) *logQueue {
	q := &logQueue{to: to, done: make(chan struct{})}
	q.more = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// put queues lines if no more than room bytes wait then. Otherwise it returns false.
func (q *logQueue) put(lines []byte, room int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.taken+len(q.lines)+len(lines) > room {
		return false
	}
	q.lines = append(q.lines, lines...)
	q.more.Signal()
	return true
}

// drop counts lines that are not written.
func (q *logQueue) drop(lines int, err error) {
	q.dropped.Add(uint64(lines))
	q.restore(loss{uint64(lines), err})
}

// restore has a loss reported with the next lines.
func (q *logQueue) restore(l loss) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost.lines += l.lines
	if l.err != nil {
		q.lost.err = l.err
	}
}

// run writes what is queued until the queue is closed and empty.
func (q *logQueue) run() {
	defer close(q.done)
	for more := true; more; {
		var lines []byte
		var lost loss
		lines, lost, more = q.take()
		q.write(lines)
		q.report(lost)
	}
}

// take waits for lines and takes all that there are, and what was lost behind them. more is false
// for the last ones.
func (q *logQueue) take() (lines []byte, lost loss, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.lines) == 0 && !q.closed {
		q.more.Wait()
	}
	lines, q.lines = q.lines, nil
	lost, q.lost = q.lost, loss{}
	q.taken = len(lines)
	return lines, lost, !q.closed
}

// write writes lines in pieces of whole lines.
func (q *logQueue) write(lines []byte) {
	for len(lines) > 0 {
		piece := lines[:wholeLines(lines)]
		lines = lines[len(piece):]
		if n, err := q.writePiece(piece); err != nil {
			q.drop(bytes.Count(piece[n:], []byte("\n")), err)
		}
		q.mu.Lock()
		q.taken = len(lines)
		q.mu.Unlock()
	}
}

// wholeLines returns the length of as many lines as fit into a piece, of one at least.
func wholeLines(lines []byte) int {
	if len(lines) <= pieceBytes {
		return len(lines)
	}
	if end := bytes.LastIndexByte(lines[:pieceBytes], '\n'); end >= 0 {
		return end + 1
	}
	if end := bytes.IndexByte(lines, '\n'); end >= 0 {
		return end + 1
	}
	return len(lines)
}

// writePiece writes a piece, behind the end of the line before it. It returns how many bytes of the
// piece were written.
func (q *logQueue) writePiece(piece []byte) (n int, err error) {
	if q.torn {
		if _, err := q.to.Write([]byte("\n")); err != nil {
			return 0, err
		}
		q.torn = false
	}
	n, err = q.to.Write(piece)
	q.torn = err != nil && n > 0 && piece[n-1] != '\n'
	return n, err
}

// report writes a line that says how many lines were dropped. If it cannot be written, the next one
// says it.
func (q *logQueue) report(l loss) {
	if l.lines == 0 {
		return
	}
	reason := "nothing read them"
	if l.err != nil {
		reason = l.err.Error()
	}
	var line bytes.Buffer
	slog.New(slog.NewTextHandler(&line, nil)).Warn(fmt.Sprintf("%d lines of the log were dropped: %s", l.lines, reason))
	if _, err := q.writePiece(line.Bytes()); err != nil {
		q.restore(l)
	}
}

// close ends the queue when all that it holds is written, and returns then, or after the given
// time.
func (q *logQueue) close(wait time.Duration) {
	q.mu.Lock()
	q.closed = true
	q.more.Signal()
	q.mu.Unlock()
	waitAtMost(wait, q.done)
}

// waitAtMost returns when done is closed, or after the given time.
func waitAtMost(wait time.Duration, done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(wait):
	}
}

// logWriter is the end of a logQueue for lines of one kind.
type logWriter struct {
	queue *logQueue
	room  int
}

// Write queues whole lines, or drops and counts them. It never fails.
func (w logWriter) Write(lines []byte) (int, error) {
	if !w.queue.put(lines, w.room) && w.room != frameRoom {
		w.queue.drop(bytes.Count(lines, []byte("\n")), nil)
	}
	return len(lines), nil
}

// logHandler gives each record the room of its kind.
type logHandler struct{ lines, errors, defects slog.Handler }

// newLogger returns a logger that writes to a queue.
func newLogger(q *logQueue) *slog.Logger {
	text := func(room int) slog.Handler { return slog.NewTextHandler(logWriter{q, room}, nil) }
	return slog.New(logHandler{lines: text(lineRoom), errors: text(errorRoom), defects: text(defectRoom)})
}

// Enabled implements slog.Handler.
func (h logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.lines.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case r.Level < slog.LevelError:
		return h.lines.Handle(ctx, r)
	case hasStack(&r):
		return h.defects.Handle(ctx, r)
	}
	return h.errors.Handle(ctx, r)
}

func hasStack(r *slog.Record) (has bool) {
	r.Attrs(func(a slog.Attr) bool {
		has = a.Key == "stack"
		return !has
	})
	return has
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.lines.WithAttrs(attrs), h.errors.WithAttrs(attrs), h.defects.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.lines.WithGroup(name), h.errors.WithGroup(name), h.defects.WithGroup(name)}
}
