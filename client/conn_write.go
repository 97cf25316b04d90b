package client

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"cyberdb-fast/codec"
)

// flush writes batches until nothing is pending. The caller has set writing; flush clears it, or
// hands what the socket does not take immediately to the writer goroutine, which clears it later.
// flush never blocks on the socket.
//
// If requests of other callers are outstanding (shared), flush yields before each write, so that
// goroutines that are ready to run can add their requests to the batch. With a hundred callers on
// two connections a write then carries some 12 requests instead of 1.4, with a thousand 70 instead
// of 2.
func (c *conn) flush(shared bool) {
	for range maxCallerBatches {
		if c.nonblocking == nil {
			break
		}
		if shared {
			runtime.Gosched()
		}
		shared = true
		batch, more := c.nextBatch()
		if !more {
			return
		}
		n, err := c.nonblocking.write(batch)
		if err != nil {
			c.fail(err)
			return
		}
		if n < len(batch) {
			c.unwritten = batch[n:]
			break
		}
	}
	c.wakeWriter <- struct{}{}
}

// nextBatch returns the pending frames, encrypted if the connection is. If there are none, more is
// false and writing has been cleared.
func (c *conn) nextBatch() (batch []byte, more bool) {
	if !c.takePending() {
		return nil, false
	}
	c.fillDeadlines()
	if c.sealer == nil {
		return c.batch, true
	}
	if cap(c.sealed) > maxSpareBytes {
		c.sealed = nil
	}
	var err error
	if c.sealed, err = c.sealer.Seal(c.sealed[:0], c.batch); err != nil {
		c.fail(err)
		return nil, false
	}
	return c.sealed, true
}

// takePending makes the pending frames the batch to be written. If there are none, it clears
// writing and returns false.
func (c *conn) takePending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 || c.err != nil {
		c.writing = false
		return false
	}
	spare := c.batch[:0]
	if cap(spare) > maxSpareBytes {
		spare = nil
	}
	c.batch, c.pending = c.pending, spare
	c.takeDeadlinesLocked()
	c.batchNumber++
	c.signalSpaceLocked()
	return true
}

// runWriter is the writer goroutine. Until the connection is down, it writes what callers hand over
// and checks for silence.
func (c *conn) runWriter(silence time.Duration) {
	idle := time.Duration(c.limits.IdleSeconds) * time.Second
	monitor := idleMonitor{conn: c, silence: silence, idle: idle, interval: silence / 8}
	if idle > 0 {
		monitor.interval = min(monitor.interval, idle/8)
	}
	tick := time.NewTicker(max(monitor.interval, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-c.closed:
			return
		case <-c.wakeWriter:
			if err := c.writeAll(silence); err != nil {
				c.fail(err)
			}
		case <-tick.C:
			monitor.tick()
		}
	}
}

// maxWriteBytes is the most that is written under one deadline, so that a slow network does not
// look like a dead server.
const maxWriteBytes = 256 << 10

// writeAll writes the rest of the batch and all that is pending, and blocks on the socket if it is
// full. Each piece of maxWriteBytes has its own timeout.
//
// When nextBatch finds nothing pending, another goroutine may start to write: unwritten must not be
// touched after that.
func (c *conn) writeAll(timeout time.Duration) error {
	for {
		if len(c.unwritten) == 0 {
			batch, more := c.nextBatch()
			if !more {
				return nil
			}
			c.unwritten = batch
		}
		if err := c.socket.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		n, err := c.socket.Write(c.unwritten[:min(len(c.unwritten), maxWriteBytes)])
		c.unwritten = c.unwritten[n:]
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("the server took no request for %s", timeout)
		}
		if err != nil {
			return err
		}
		if err := c.socket.SetWriteDeadline(time.Time{}); err != nil {
			return err
		}
	}
}

// idleMonitor measures how long a connection has been silent or unused.
type idleMonitor struct {
	// constant
	conn          *conn
	silence, idle time.Duration // limits; idle 0: the server closes no idle connections
	interval      time.Duration // between ticks

	reads, batches uint64        // as of the last tick
	silent         time.Duration // since the last read while replies were due
	unused         time.Duration // since the last batch
}

// tick is called once per interval. It fails a silent connection, and sends a ping at half of
// either limit.
func (m *idleMonitor) tick() {
	c := m.conn
	c.mu.Lock()
	outstanding, batches := c.outstandingLocked(), c.batchNumber
	c.mu.Unlock()
	reads := c.reads.Load()
	m.silent += m.interval
	if outstanding == 0 || reads != m.reads {
		m.silent = 0
	}
	m.unused += m.interval
	if batches != m.batches {
		m.unused = 0
	}
	m.reads, m.batches = reads, batches
	switch {
	case m.silent >= m.silence:
		c.fail(fmt.Errorf("the server was silent for %s while replies were due", m.silence))
	case m.silent >= m.silence/2 && m.silent-m.interval < m.silence/2, m.idle > 0 && m.unused >= m.idle/2:
		m.unused = 0
		c.ping()
	}
}

// pingFrame is a complete PING; enqueueLocked fills in the id.
var pingFrame = codec.AppendRequest(nil, &codec.Request{Op: codec.OpPing})

// ping sends a ping whose reply is dropped.
func (c *conn) ping() { _ = c.post(&call{op: codec.OpPing, frame: pingFrame}) }
