package loop

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
)

const (
	// allUnreadBytes is how many bytes all clients together may leave unread before each may leave less.
	allUnreadBytes = 256 << 20
	// scarceUnreadBytes is what one client may leave unread then, before its requests wait.
	scarceUnreadBytes = 64 << 10
)

// unreadTotal counts the bytes of replies that wait in the server for all clients to read. Its count of a client is as of the client's last turn;
// the sweeper gives those a turn that have much waiting.
type unreadTotal struct {
	limit int64 // constant
	bytes atomic.Int64
}

// scarce says whether the clients together leave too much unread.
func (u *unreadTotal) scarce() bool { return u.bytes.Load() > u.limit }

// tooMuch is what a request is answered whose reply would be large while unread room is scarce.
func (u *unreadTotal) tooMuch() *codec.Error {
	return &codec.Error{
		Status:  codec.StatusOverloaded,
		Message: fmt.Sprintf("clients leave %d MiB of replies unread, and this one is large: try again later", u.limit>>20),
	}
}

// soft returns how much one client may leave unread before its requests wait.
func (u *unreadTotal) soft() int {
	if u.scarce() {
		return scarceUnreadBytes
	}
	return softUnreadBytes
}

// streamAhead returns how much of a long read's reply may wait for its client.
func (u *unreadTotal) streamAhead() int {
	if u.scarce() {
		return scarceUnreadBytes
	}
	return streamAheadBytes
}

// countUnread brings the count of the session's unread bytes up to date and returns it. It is called on the event loop.
func (s *session) countUnread() int {
	now := s.conn.OutboundBuffered()
	s.setUnread(int64(now))
	return now
}

func (s *session) setUnread(now int64) {
	if before := s.counted.Swap(now); before != now {
		s.srv.unread.bytes.Add(now - before)
	}
}

const (
	// flushBytes is how many bytes of replies are collected before they are written within a turn.
	flushBytes = 64 << 10
	// softUnreadBytes is how many bytes of replies a client may leave unread before its requests wait.
	softUnreadBytes = 16 << 20
	// hardUnreadBytes ends a connection that leaves this much unread.
	hardUnreadBytes = 64 << 20
)

// flush writes the replies collected so far and pauses the session if its client does not read. It returns false if the
// connection is closed.
func (s *session) flush() bool {
	l := s.loop
	if s.inRound {
		l.replyAll() // those of its earlier turns come first
	}
	if len(l.out) == l.from || s.conn.Context() == nil {
		return !s.closing
	}
	s.write(l.out[l.from:])
	l.out = l.out[:l.from]
	return !s.closing
}

// write sends replies.
func (s *session) write(replies []byte) {
	out, err := s.seal(replies)
	if err == nil {
		_, err = s.conn.Write(out)
	}
	if err != nil {
		s.closing = true // if it was the write's, gnet has closed it
		return
	}
	s.pauseUnread()
}

// pauseUnread pauses a running session whose client does not read, or for which many bytes wait for the disk: they would leave all at once.
func (s *session) pauseUnread() {
	if unread := s.countUnread() + len(s.toDisk.frames); unread > s.srv.unread.soft() && s.state == running {
		s.state, s.unread, s.lookedAt = paused, s.unacknowledged(), s.srv.clock.now()
		s.srv.sessions.pause(s)
	}
}

// unacknowledged returns how many bytes of replies the client has not taken yet, the kernel's buffer included: gnet's own moves only in
// steps of megabytes while a client reads slowly.
func (s *session) unacknowledged() int {
	n, err := unix.IoctlGetInt(s.conn.Fd(), unix.SIOCOUTQ)
	if err != nil {
		n = 0
	}
	return s.conn.OutboundBuffered() + n
}

// unsent says whether there are replies that have not been given to the kernel.
func (s *session) unsent() bool { return s.conn.OutboundBuffered() > 0 || s.toDisk.waits() }
