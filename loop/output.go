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
	// scarceUnreadBytes is what one client may leave unread then, before its requests wait.
	scarceUnreadBytes = 64 << 10
	// flushBytes is how many bytes of replies are collected before they are written within a turn.
	flushBytes = 64 << 10
	// softUnreadBytes is how many bytes of replies a client may leave unread before its requests
	// wait.
	softUnreadBytes = 16 << 20
	// hardUnreadBytes ends a connection that leaves this much unread.
	hardUnreadBytes = 64 << 20
)

// replyBudget counts the unsent output of all clients: the bytes of replies that wait in the
// server. The count of a client is as of its last turn; the sweeper gives those a turn that have
// much waiting.
type replyBudget struct {
	limit int64 // constant
	bytes atomic.Int64
}

// scarce says whether the clients together leave too much unread.
func (b *replyBudget) scarce() bool { return b.bytes.Load() > b.limit }

// tooMuch is what a request is answered whose reply would be large while unread room is scarce.
func (b *replyBudget) tooMuch() *codec.Error {
	return &codec.Error{
		Status: codec.StatusOverloaded,
		Message: fmt.Sprintf(
			"clients leave %d MiB of replies unread, and this one is large: try again later",
			b.limit>>20,
		),
	}
}

// soft returns how much one client may leave unread before its requests wait.
func (b *replyBudget) soft() int {
	if b.scarce() {
		return scarceUnreadBytes
	}
	return softUnreadBytes
}

// streamAhead returns how much of a long read's reply may wait for its client.
func (b *replyBudget) streamAhead() int {
	if b.scarce() {
		return scarceUnreadBytes
	}
	return streamAheadBytes
}

// output is the part of a session that knows what its client has not read, and which long replies
// are being made. Owned by the event loop, except where said.
type output struct {
	counted  atomic.Int64 // unsent bytes that the budget counts; read by streams and the sweeper
	prepared int          // of these, bytes of a reply that gnet is not given yet
	unread   int          // bytes that the client had not acknowledged, while paused; since lookedAt
	lookedAt int64        // in nanoseconds of the coarse clock; paused, lingering, half closed: since when
	sending  sync.Mutex   // held by the long read, or the large reply, that is being made
	busy     atomic.Bool  // a reply is due or is being read: the connection is not idle; read by the sweeper
	streams  uint8        // long reads and large replies under way
	large    bool         // one of them is a large reply
}

// count tells the budget how many bytes gnet holds; those that it is not given yet count too.
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

// drained says whether so little is unsent that a paused client's requests go on.
func (o *output) drained(b *replyBudget, buffered, pendingDurable int) bool {
	o.count(b, buffered)
	return buffered+pendingDurable < b.soft()/2
}

// look notes how much the client has not read, and when.
func (o *output) look(unread int, now int64) { o.unread, o.lookedAt = unread, now }

// progress notes it again if the client has read since, or could not since the disk is slow.
func (o *output) progress(unread int, now int64, slowDisk bool) {
	if unread < o.unread || slowDisk {
		o.look(unread, now)
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

// countUnread tells the budget how many bytes gnet holds for the session, and returns that.
func (s *session) countUnread() int {
	n := s.conn.OutboundBuffered()
	s.output.count(&s.srv.replies, n)
	return n
}

// flush writes the replies collected so far and pauses the session if its client does not read. It
// returns false if the connection is closed.
func (s *session) flush() bool {
	l := s.loop
	if s.deferred.replies {
		l.replyAll() // those of its earlier turns come first
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
		s.close() // if it was the write's, gnet has closed it
		return
	}
	s.pauseUnread()
}

// pauseUnread pauses a running session whose client does not read, or for which many bytes wait for
// the disk: they would leave all at once.
func (s *session) pauseUnread() {
	if s.output.exceeds(&s.srv.replies, s.conn.OutboundBuffered(), s.deferred.pendingDurable()) && s.state == running {
		s.to(paused)
		s.output.look(s.unacknowledged(), s.srv.clock.nanos())
		s.srv.sessions.pause(s)
	}
}

// unsent says whether there are replies that have not been given to the kernel.
func (s *session) unsent() bool {
	return s.conn.OutboundBuffered() > 0 || s.deferred.pendingDurable() > 0
}

// unacknowledged returns how many bytes of replies the client has not taken yet, the kernel's
// buffer included: gnet's own moves only in steps of megabytes while a client reads slowly.
func (s *session) unacknowledged() int {
	n, err := unix.IoctlGetInt(s.conn.Fd(), unix.SIOCOUTQ)
	if err != nil {
		n = 0
	}
	return s.conn.OutboundBuffered() + n
}
