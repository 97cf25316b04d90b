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

// How many bytes may be queued when a line is added. More important lines may use space that others
// may not.
const (
	frameRoom = 4 << 10 // for a progress bar
	lineRoom  = 1 << 20
	errorRoom = 2 << 20 // for lines of the level ERROR
	panicRoom = 8 << 20 // for lines with a stack, and for the reason why the server does not start
)

const (
	// pieceBytes is what a pipe accepts completely or not at all: PIPE_BUF of pipe(7). So a process
	// that ends during a write leaves no partial line.
	pieceBytes = 4096
	// flushTime is how long the end of the process may wait for the reader of the log.
	flushTime = time.Second
)

// logQueue queues lines and writes them in order, on its own goroutine, so that a reader that hangs
// blocks only that goroutine. Lines that do not fit in the queue, or cannot be written, are dropped
// and counted; a line reports that once writing works again.
//
// Its methods are safe for concurrent use, and none but close waits.
type logQueue struct {
	to      io.Writer
	dropped atomic.Uint64 // lines, since the start
	done    chan struct{} // closed when everything is written after close

	mu     sync.Mutex
	more   *sync.Cond // lines or closed has changed
	lines  []byte     // guarded by mu
	taken  int        // bytes that run has taken but not yet written; guarded by mu
	lost   loss       // dropped lines that are not yet reported; guarded by mu
	closed bool       // guarded by mu
	format lineFormat // of the line that reports a loss; guarded by mu

	torn bool // the last line written is incomplete; owned by run
}

// loss is how many lines were dropped, and why; err is nil if the queue was full.
type loss struct {
	lines uint64
	err   error
}

func newLogQueue(to io.Writer) *logQueue {
	q := &logQueue{to: to, done: make(chan struct{}), format: textLines}
	q.more = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// put queues lines unless more than room bytes would then be queued; in that case it returns false.
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

// restore adds to the loss that the next lines will report.
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

// take waits for lines, and returns all of them and what was lost after them. more is false for the
// last ones.
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

// write writes lines in pieces of complete lines.
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

// wholeLines returns the length of as many lines as fit into a piece, but of at least one.
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

// writePiece writes a piece, after ending a partial line. It returns how many bytes of the piece
// were written.
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

// report writes a line that says how many lines were dropped. If that fails, the next one will say
// it.
func (q *logQueue) report(l loss) {
	if l.lines == 0 {
		return
	}
	reason := "no program read them"
	if l.err != nil {
		reason = l.err.Error()
	}
	var line bytes.Buffer
	q.mu.Lock()
	format := q.format
	q.mu.Unlock()
	slog.New(format(&line, nil)).Warn(fmt.Sprintf("%d lines of the log were dropped: %s", l.lines, reason))
	if _, err := q.writePiece(line.Bytes()); err != nil {
		q.restore(l)
	}
}

// close ends the queue and returns when everything is written, or after the given time.
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

// logWriter writes lines of one kind to a logQueue.
type logWriter struct {
	queue *logQueue
	room  int
}

// Write queues complete lines, or drops and counts them. It never fails.
func (w logWriter) Write(lines []byte) (int, error) {
	if !w.queue.put(lines, w.room) && w.room != frameRoom {
		w.queue.drop(bytes.Count(lines, []byte("\n")), nil)
	}
	return len(lines), nil
}

// logHandler handles each record by its kind.
type logHandler struct{ lines, errors, panics slog.Handler }

// lineFormat is how the lines of a log are written: slog.NewTextHandler's or NewJSONHandler's.
type lineFormat func(io.Writer, *slog.HandlerOptions) slog.Handler

func textLines(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) }

func jsonLines(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) }

// newLogger returns a logger that writes lines of a level to a queue.
func newLogger(q *logQueue, format lineFormat, level slog.Leveler) *slog.Logger {
	q.mu.Lock()
	q.format = format
	q.mu.Unlock()
	lines := func(room int) slog.Handler {
		return format(logWriter{q, room}, &slog.HandlerOptions{Level: level})
	}
	return slog.New(logHandler{lines: lines(lineRoom), errors: lines(errorRoom), panics: lines(panicRoom)})
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
		return h.panics.Handle(ctx, r)
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
	return logHandler{h.lines.WithAttrs(attrs), h.errors.WithAttrs(attrs), h.panics.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.lines.WithGroup(name), h.errors.WithGroup(name), h.panics.WithGroup(name)}
}
