package loop

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
)

const (
	// overLimitOutputBytes is how many bytes of replies one client may have unsent, before its
	// requests wait, while the budget is used up.
	overLimitOutputBytes = 64 << 10
	// flushBytes is how many bytes of replies are collected before they are written within a read
	// event.
	flushBytes = 64 << 10
	// softOutputBytes is how many bytes of replies one client may have unsent before its requests
	// wait.
	softOutputBytes = 16 << 20
	// hardOutputBytes closes a connection that has this much unsent.
	hardOutputBytes = 64 << 20
)

// replyBudget counts the unsent output of all clients: the bytes of replies that wait in the
// server. The count of a client is as of its last read event; the sweeper wakes those that have
// much waiting.
type replyBudget struct {
	limit int64 // constant
	bytes atomic.Int64
}

// overLimit says whether the clients together have too much unsent.
func (b *replyBudget) overLimit() bool { return b.bytes.Load() > b.limit }

// limitError is the answer to a request whose reply would be large while the budget is used up.
func (b *replyBudget) limitError() *codec.Error {
	return &codec.Error{
		Status: codec.StatusOverloaded,
		Message: fmt.Sprintf(
			"more than %d MiB of replies are unsent, and this one is large: try again later",
			b.limit>>20,
		),
	}
}

// soft returns how much one client may have unsent before its requests wait.
func (b *replyBudget) soft() int {
	if b.overLimit() {
		return overLimitOutputBytes
	}
	return softOutputBytes
}

// streamAhead returns how much of a long read's reply may wait for its client.
func (b *replyBudget) streamAhead() int {
	if b.overLimit() {
		return overLimitOutputBytes
	}
	return streamAheadBytes
}

// output is the part of a session that knows what is unsent, and which long replies are being made.
// Owned by the event loop, except where said.
type output struct {
	counted        atomic.Int64 // unsent bytes that the budget counts; read by streams and the sweeper
	prepared       int          // of these, bytes of a reply that gnet is not given yet
	unacknowledged int          // bytes that the client had not acknowledged, while paused, at lookedAt
	lookedAt       int64        // in nanoseconds of the coarse clock; lingering, half closed: since when
	sending        sync.Mutex   // locked by the long read, or the large reply, that is being made
	busy           atomic.Bool  // a reply is due or is being read: the connection is not idle; read by the sweeper
	streams        uint8        // long reads and large replies under way
	large          bool         // one of them is a large reply
}

// count counts the bytes that gnet buffers, and those of a reply that it is not given yet.
func (o *output) count(b *replyBudget, buffered int) {
	bytes := int64(buffered + o.prepared)
	if before := o.counted.Swap(bytes); before != bytes {
		b.bytes.Add(bytes - before)
	}
}

// prepare counts a reply that gnet is given later, 0 bytes once it was given.
func (o *output) prepare(b *replyBudget, bytes int) {
	buffered := int(o.counted.Load()) - o.prepared
	o.prepared = bytes
	o.count(b, buffered)
}

// drop takes all that is counted out of the budget.
func (o *output) drop(b *replyBudget) {
	o.prepared = 0
	o.count(b, 0)
}

// exceeds says whether more is unsent, with the bytes that wait for the disk, than one client may
// have before its requests wait.
func (o *output) exceeds(b *replyBudget, buffered, pendingDurable int) bool {
	o.count(b, buffered)
	return buffered+pendingDurable > b.soft()
}

// drained says whether so little is unsent that a paused client's requests continue.
func (o *output) drained(b *replyBudget, buffered, pendingDurable int) bool {
	o.count(b, buffered)
	return buffered+pendingDurable < b.soft()/2
}

// recordUnacknowledged records how much the client has not acknowledged, and when.
func (o *output) recordUnacknowledged(unacknowledged int, now int64) {
	o.unacknowledged, o.lookedAt = unacknowledged, now
}

// progress records it again if the client has read since, or could not because the disk is slow.
func (o *output) progress(unacknowledged int, now int64, slowDisk bool) {
	if unacknowledged < o.unacknowledged || slowDisk {
		o.recordUnacknowledged(unacknowledged, now)
	}
}

// over says whether more than limit has passed since the last look.
func (o *output) over(now int64, limit time.Duration) bool {
	return time.Duration(now-o.lookedAt) > limit
}

// beginStream counts a long read or a large reply.
func (o *output) beginStream(large bool) {
	o.streams++
	o.large = o.large || large
}

func (o *output) endStream(large bool) {
	o.streams--
	o.large = o.large && !large
}

// countUnsent counts the bytes that gnet buffers for the session, and returns how many.
func (s *session) countUnsent() int {
	n := s.conn.OutboundBuffered()
	s.output.count(&s.srv.replies, n)
	return n
}

// flush writes the replies collected so far and pauses the session if its client does not read. It
// returns false if the session ends.
func (s *session) flush() bool {
	l := s.loop
	if s.deferred.replies {
		l.replyAll() // those of its earlier read events come first
	}
	if len(l.out) == l.from || s.conn.Context() == nil {
		return !s.ends()
	}
	s.write(l.out[l.from:])
	l.out = l.out[:l.from]
	return !s.ends()
}

// write sends replies.
func (s *session) write(replies []byte) {
	out, err := s.seal(replies)
	if err == nil {
		_, err = s.conn.Write(out)
	}
	if err != nil {
		s.close() // if the write failed, gnet has closed it
		return
	}
	if c := s.client.Load(); c != nil {
		c.Sent(replies, len(out), s.conn.OutboundBuffered())
	}
	s.limitOutput()
}

// limitOutput pauses a running session whose client does not read, or for which many bytes wait for
// the disk, since they would leave all at once.
func (s *session) limitOutput() {
	if s.output.exceeds(&s.srv.replies, s.conn.OutboundBuffered(), s.deferred.pendingDurable()) && s.state == running {
		s.setState(paused)
		s.output.recordUnacknowledged(s.unacknowledged(), s.srv.clock.nanos())
		s.srv.sessions.pause(s)
	}
}

// unsent says whether there are replies that the kernel has not taken.
func (s *session) unsent() bool {
	return s.conn.OutboundBuffered() > 0 || s.deferred.pendingDurable() > 0
}

// unacknowledged returns how many bytes of replies the client's kernel has not taken yet. It
// includes this kernel's buffer, because gnet's shrinks only in steps of megabytes while a client
// reads slowly.
func (s *session) unacknowledged() int {
	n, err := unix.IoctlGetInt(s.conn.Fd(), unix.SIOCOUTQ)
	if err != nil {
		n = 0
	}
	return s.conn.OutboundBuffered() + n
}
