package loop

import (
	"sync"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec/secure"
)

// sessionSet holds the open sessions and, of them, the paused ones.
type sessionSet struct {
	mu     sync.Mutex
	open   map[*session]struct{} // guarded by mu
	paused map[*session]struct{} // guarded by mu
}

func (set *sessionSet) init() {
	set.open = make(map[*session]struct{})
	set.paused = make(map[*session]struct{})
}

func (set *sessionSet) add(s *session) {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.open[s] = struct{}{}
}

func (set *sessionSet) remove(s *session) {
	set.mu.Lock()
	defer set.mu.Unlock()
	delete(set.open, s)
	delete(set.paused, s)
}

func (set *sessionSet) pause(s *session) {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.paused[s] = struct{}{}
}

func (set *sessionSet) unpause(s *session) {
	set.mu.Lock()
	defer set.mu.Unlock()
	delete(set.paused, s)
}

// each calls f for every open session; it returns false if there is none.
func (set *sessionSet) each(f func(s *session)) bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	for s := range set.open {
		f(s)
	}
	return len(set.open) > 0
}

func (set *sessionSet) eachPaused(f func(s *session)) {
	set.mu.Lock()
	defer set.mu.Unlock()
	for s := range set.paused {
		f(s)
	}
}

// anyPaused says whether there is a paused session.
func (set *sessionSet) anyPaused() bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	return len(set.paused) > 0
}

// tooSlow is what a connection is told that has not proved the password in time.
var tooSlow = &secure.Refusal{Code: secure.RefusedTimeout, Text: "no password proved in time"}

// closeOverdue closes the session if the sweeper found it overdue and that is still so.
func (s *session) closeOverdue() {
	if !s.overdue.Swap(false) || s.closing || s.timeLeft(s.srv.clock.now()) > 0 {
		return
	}
	s.closing = true
	if s.login == nil {
		s.srv.counters.idleClosed.Add(1)
		return
	}
	if s.legacy == nil {
		s.loop.out = secure.AppendRefusal(s.loop.out, tooSlow)
	}
	s.refused(tooSlow)
}

// setReadLow sets how many bytes must have arrived before a socket counts as readable: the way to leave one unread, which
// gnet has no call for. A socket that does not know the option stays readable, which costs memory up to maxAheadBytes.
func setReadLow(fd, bytes int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes)
}
