package client

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"cyberdb-fast/codec"
)

// flush writes batch after batch until nothing is pending. The caller has set writing; flush, or
// the keeper after it, clears it. It never waits: what the socket does not take at once is the
// keeper's.
//
// Before each write, unless the caller is alone, all goroutines that are ready to run get a turn:
// those with requests of their own put them into the batch. With a hundred callers on two
// connections a write carries some 12 requests instead of 1.4, with a thousand 70 instead of 2.
func (l *link) flush(alone bool) {
	for range callerRounds {
		if l.try == nil {
			break
		}
		if !alone {
			runtime.Gosched()
		}
		alone = false
		batch, more := l.nextBatch()
		if !more {
			return
		}
		n, err := l.try.write(batch)
		if err != nil {
			l.fail(err)
			return
		}
		if n < len(batch) {
			l.rest = batch[n:]
			break
		}
	}
	l.wake <- struct{}{}
}

// nextBatch returns what is pending as it is to be written; if that is nothing, writing is over.
func (l *link) nextBatch() (batch []byte, more bool) {
	if !l.takePending() {
		return nil, false
	}
	if l.seal == nil {
		return l.out, true
	}
	if cap(l.sealed) > maxSpare {
		l.sealed = nil
	}
	var err error
	if l.sealed, err = l.seal.Seal(l.sealed[:0], l.out); err != nil {
		l.fail(err)
		return nil, false
	}
	return l.sealed, true
}

// takePending makes what is pending the batch to be written.
func (l *link) takePending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 || l.err != nil {
		l.writing = false
		return false
	}
	spare := l.out[:0]
	if cap(spare) > maxSpare {
		spare = nil
	}
	l.out, l.pending = l.pending, spare
	l.batch++
	l.roomLocked()
	return true
}

// keep runs until the link is down: it writes what callers leave to it, and watches for silence.
func (l *link) keep(silence time.Duration) {
	idle := time.Duration(l.limits.IdleSeconds) * time.Second
	watch := watch{link: l, silence: silence, idle: idle, every: silence / 8}
	if idle > 0 {
		watch.every = min(watch.every, idle/8)
	}
	tick := time.NewTicker(max(watch.every, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-l.closed:
			return
		case <-l.wake:
			if err := l.writeAll(silence); err != nil {
				l.fail(err)
			}
		case <-tick.C:
			watch.tick()
		}
	}
}

// maxWrite is the most that is written under one deadline: a slow network is no dead server.
const maxWrite = 256 << 10

// writeAll writes what is left of the batch and all that is pending, waiting for the socket where
// need be.
//
// Once nothing is pending, writing is somebody else's and so is rest.
func (l *link) writeAll(timeout time.Duration) error {
	for {
		if len(l.rest) == 0 {
			batch, more := l.nextBatch()
			if !more {
				return nil
			}
			l.rest = batch
		}
		if err := l.conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		n, err := l.conn.Write(l.rest[:min(len(l.rest), maxWrite)])
		l.rest = l.rest[n:]
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("the server took no request for %s", timeout)
		}
		if err != nil {
			return err
		}
		if err := l.conn.SetWriteDeadline(time.Time{}); err != nil {
			return err
		}
	}
}

// watch counts ticks of a link on which nothing happens.
type watch struct {
	// constant
	link           *link
	silence, idle  time.Duration
	every          time.Duration
	reads, batches uint64 // as of the last tick
	quiet, unused  time.Duration
}

// tick is called every w.every.
func (w *watch) tick() {
	l := w.link
	l.mu.Lock()
	due, batches := len(l.slots)-len(l.free), l.batch
	l.mu.Unlock()
	reads := l.reads.Load()
	w.quiet += w.every
	if due == 0 || reads != w.reads {
		w.quiet = 0
	}
	w.unused += w.every
	if batches != w.batches {
		w.unused = 0
	}
	w.reads, w.batches = reads, batches
	switch {
	case w.quiet >= w.silence:
		l.fail(fmt.Errorf("the server was silent for %s while replies were due", w.silence))
	case w.quiet >= w.silence/2 && w.quiet-w.every < w.silence/2, w.idle > 0 && w.unused >= w.idle/2:
		w.unused = 0
		l.ping()
	}
}

// pingFrame is a whole PING; the id is filled in.
var pingFrame = codec.AppendRequest(nil, &codec.Request{Op: codec.OpPing})

// ping sends a ping that nobody waits for.
func (l *link) ping() {
	l.mu.Lock()
	if l.err != nil || l.fullLocked(1) {
		l.mu.Unlock()
		return
	}
	q := &call{op: codec.OpPing, frame: pingFrame}
	l.enqueueLocked(q)
	l.slots[q.id%maxSlots].call = nil
	l.flushOrLeaveLocked()
}
