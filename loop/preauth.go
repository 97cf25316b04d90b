package loop

import (
	"container/list"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"cyberdb-fast/codec/secure"
)

// Whoever reaches the port can connect and say nothing. So that this keeps nobody out who has the
// password, a connection that has not proved it may lose its place to one that comes when there is
// no other: the one whose client has let the server wait the longest, if more of its address have
// not proved themselves than of the newcomer's, or if that is ownTime for a newcomer of the same
// address, otherTime for one of another. Who proves the password in time, as every client does, is
// so let in whatever strangers do; who has proved it keeps the place.

const (
	// What the client of a connection that may lose its place has for each of its messages. A busy
	// machine takes some of it; and of one address more than these hold can come in a second.
	ownTime   = 250 * time.Millisecond
	otherTime = time.Second
	// maxCeding is how many connections that have lost their places may still be open: each has a
	// descriptor.
	maxCeding = 32
)

// unprovenSet holds the connections that have not proved the password. Its methods may be called
// from any goroutine.
type unprovenSet struct {
	mu sync.Mutex
	// guarded by mu
	origins map[netip.Addr]int // how many of each address there are
	waiting list.List          // of the sessions whose clients are waited for, the longest first
	ceding  int                // have lost their places and are not closed yet
}

// place is what the set knows of a session. Guarded by its mu.
type place struct {
	waiting *list.Element // nil: it is not its client that is waited for
	since   time.Time     // it is
	lost    bool
}

func (u *unprovenSet) init() { u.origins = make(map[netip.Addr]int) }

// enter adds a session that has a place.
func (u *unprovenSet) enter(s *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.origins[s.auth.login.from]++
	u.waitLocked(s)
}

func (u *unprovenSet) waitLocked(s *session) {
	p := &s.auth.login.place
	p.waiting, p.since = u.waiting.PushBack(s), time.Now()
}

// work says that the server has work to do before the session's client can go on: until worked it
// keeps its place. It is false if that is another's by now.
func (u *unprovenSet) work(s *session) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopWaitingLocked(s)
	return !s.auth.login.place.lost
}

func (u *unprovenSet) stopWaitingLocked(s *session) {
	if p := &s.auth.login.place; p.waiting != nil {
		u.waiting.Remove(p.waiting)
		p.waiting = nil
	}
}

// worked says that the session's client can go on.
func (u *unprovenSet) worked(s *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := &s.auth.login.place; p.waiting == nil && !p.lost {
		u.waitLocked(s)
	}
}

// answered says that the session's client has all that it will get: its place is the first that is
// taken, at once.
func (u *unprovenSet) answered(s *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := &s.auth.login.place; p.waiting != nil {
		u.waiting.MoveToFront(p.waiting)
		p.since = time.Time{}
	}
}

// prove takes out a session that has proved the password. It is false if its place is another's by
// now.
func (u *unprovenSet) prove(s *session) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.auth.login.place.lost {
		return false
	}
	u.removeLocked(s)
	return true
}

// leave takes out a session whose connection is closed. It is false if its place is another's by
// now.
func (u *unprovenSet) leave(s *session) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.auth.login.place.lost {
		u.ceding--
		return false
	}
	u.removeLocked(s)
	return true
}

func (u *unprovenSet) removeLocked(s *session) {
	u.stopWaitingLocked(s)
	from := s.auth.login.from
	if u.origins[from]--; u.origins[from] == 0 {
		delete(u.origins, from)
	}
}

// cede takes the place of a session for a newcomer and returns the session, which is to be closed;
// nil if none has to make room.
func (u *unprovenSet) cede(newcomer netip.Addr, now time.Time) *session {
	u.mu.Lock()
	defer u.mu.Unlock()
	oldest := u.waiting.Front()
	if oldest == nil || u.ceding >= maxCeding {
		return nil
	}
	s := oldest.Value.(*session)
	p := &s.auth.login.place
	due := otherTime
	if s.auth.login.from == newcomer {
		due = ownTime
	}
	if now.Sub(p.since) < due && u.origins[s.auth.login.from] <= u.origins[newcomer]+1 {
		return nil
	}
	u.removeLocked(s)
	p.lost = true
	u.ceding++
	return s
}

// makeRoom takes the place of a connection that has not proved the password for one that comes, if
// there is such.
func (srv *Server) makeRoom(newcomer net.Addr) bool {
	s := srv.unproven.cede(originOf(newcomer), time.Now())
	if s == nil {
		return false
	}
	s.auth.marks.set(evicted)
	s.wake()
	return true
}

// closeCeded closes the session if it has lost its place.
func (s *session) closeCeded() {
	if s.auth.marks.take(evicted) && !s.ends() {
		s.losePlace()
	}
}

func (s *session) losePlace() {
	s.refuse(s.srv.noPlace(": the place was given to another client, since this one had not proved the password"))
}

// noPlace is what a client is told that has no place.
func (srv *Server) noPlace(why string) *secure.Refusal {
	return &secure.Refusal{
		Code: secure.RefusedTooManyConnections,
		Text: fmt.Sprintf("too many connections (the limit is %d)%s", srv.cfg.MaxConns, why),
	}
}
