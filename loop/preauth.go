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

// When the server is at MaxConns, a new connection may evict one that has not authenticated yet.
// The victim is the one whose client the server has waited longest for, provided that its address
// has more unauthenticated connections than the newcomer's, or that it has waited longer than
// sameAddrGrace (for a newcomer of the same address) or otherAddrGrace. So connections that say
// nothing cannot keep out a client that authenticates immediately. Authenticated connections are
// never evicted.

const (
	// How long the client of a connection that may be evicted has for each of its messages. A busy
	// machine takes some of it, and one address may open more connections in a second than there
	// are slots.
	sameAddrGrace  = 250 * time.Millisecond
	otherAddrGrace = time.Second
	// maxEvicting is how many evicted connections may still be open: each has a descriptor.
	maxEvicting = 32
)

// unauthenticatedSet holds the connections that have not authenticated. Its methods may be called
// from any goroutine.
type unauthenticatedSet struct {
	mu sync.Mutex
	// guarded by mu
	origins  map[netip.Addr]int // how many of each address there are
	waiting  list.List          // the sessions that wait for their clients, the longest first
	evicting int                // evicted, and not closed yet
}

// slot is what the set knows of a session. Guarded by its mu.
type slot struct {
	waiting *list.Element // nil: it does not wait for its client
	since   time.Time     // when it began to wait
	evicted bool
}

func (u *unauthenticatedSet) init() { u.origins = make(map[netip.Addr]int) }

// enter adds a session, which has a slot.
func (u *unauthenticatedSet) enter(s *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.origins[s.auth.login.from]++
	u.waitLocked(s)
}

func (u *unauthenticatedSet) waitLocked(s *session) {
	p := &s.auth.login.slot
	p.waiting, p.since = u.waiting.PushBack(s), time.Now()
}

// work notes that the server has work to do before the session's client can continue: until worked
// it is not evicted. It returns false if it has been already.
func (u *unauthenticatedSet) work(s *session) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopWaitingLocked(s)
	return !s.auth.login.slot.evicted
}

func (u *unauthenticatedSet) stopWaitingLocked(s *session) {
	if p := &s.auth.login.slot; p.waiting != nil {
		u.waiting.Remove(p.waiting)
		p.waiting = nil
	}
}

// worked notes that the session's client can continue.
func (u *unauthenticatedSet) worked(s *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := &s.auth.login.slot; p.waiting == nil && !p.evicted {
		u.waitLocked(s)
	}
}

// answered notes that the session's client has its last answer: the session is the next to be
// evicted, immediately.
func (u *unauthenticatedSet) answered(s *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := &s.auth.login.slot; p.waiting != nil {
		u.waiting.MoveToFront(p.waiting)
		p.since = time.Time{}
	}
}

// authenticated removes a session that has authenticated. It returns false if the session has been
// evicted.
func (u *unauthenticatedSet) authenticated(s *session) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.auth.login.slot.evicted {
		return false
	}
	u.removeLocked(s)
	return true
}

// leave removes a session whose connection is closed. It returns false if the session was evicted.
func (u *unauthenticatedSet) leave(s *session) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.auth.login.slot.evicted {
		u.evicting--
		return false
	}
	u.removeLocked(s)
	return true
}

func (u *unauthenticatedSet) removeLocked(s *session) {
	u.stopWaitingLocked(s)
	from := s.auth.login.from
	if u.origins[from]--; u.origins[from] == 0 {
		delete(u.origins, from)
	}
}

// evict takes the slot of a session for a newcomer and returns the session, which the caller
// closes; nil if no session may be evicted.
func (u *unauthenticatedSet) evict(newcomer netip.Addr, now time.Time) *session {
	u.mu.Lock()
	defer u.mu.Unlock()
	oldest := u.waiting.Front()
	if oldest == nil || u.evicting >= maxEvicting {
		return nil
	}
	s := oldest.Value.(*session)
	p := &s.auth.login.slot
	due := otherAddrGrace
	if s.auth.login.from == newcomer {
		due = sameAddrGrace
	}
	if now.Sub(p.since) < due && u.origins[s.auth.login.from] <= u.origins[newcomer]+1 {
		return nil
	}
	u.removeLocked(s)
	p.evicted = true
	u.evicting++
	return s
}

// evictFor evicts an unauthenticated connection for a newcomer. It returns false if none may be.
func (srv *Server) evictFor(newcomer net.Addr) bool {
	s := srv.unauthenticated.evict(originOf(newcomer), time.Now())
	if s == nil {
		return false
	}
	s.auth.marks.set(evicted)
	s.wake()
	return true
}

// closeEvicted closes the session if it was evicted.
func (s *session) closeEvicted() {
	if s.auth.marks.take(evicted) && !s.ends() {
		s.refuseEvicted()
	}
}

func (s *session) refuseEvicted() {
	s.refuse(s.srv.tooManyConnections(": this one was evicted for another client, since it had not authenticated"))
}

// tooManyConnections is the refusal of a client that gets no slot.
func (srv *Server) tooManyConnections(why string) *secure.Refusal {
	return &secure.Refusal{
		Code: secure.RefusedTooManyConnections,
		Text: fmt.Sprintf("too many connections (the limit is %d)%s", srv.cfg.MaxConns, why),
	}
}
