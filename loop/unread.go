package loop

import (
	"fmt"
	"sync/atomic"

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
