package loop

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec/secure"
)

const (
	sweepInterval = 250 * time.Millisecond
	paceInterval  = 5 * time.Millisecond
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

// coarseClock is the time of the last sweep: good for timeouts, cheap to read.
type coarseClock struct{ unixNanos atomic.Int64 }

func (c *coarseClock) set(t time.Time) { c.unixNanos.Store(t.UnixNano()) }
func (c *coarseClock) nanos() int64    { return c.unixNanos.Load() }
func (c *coarseClock) now() time.Time  { return time.Unix(0, c.unixNanos.Load()) }

// sweep keeps the clock, looks at memory and at the journal, closes connections that are idle or slow to prove themselves, and wakes the paused ones, since gnet
// does not tell when a client has read.
func (srv *Server) sweep() {
	pace, sweep := time.NewTicker(paceInterval), time.NewTicker(sweepInterval)
	defer pace.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-srv.sweeps:
			return
		case now := <-pace.C:
			srv.clock.set(now)
			srv.sweepTurn(func() {
				srv.memory.look(srv.store)
				srv.lookBehind()
				srv.sessions.eachPaused((*session).wake)
			})
		case now := <-sweep.C:
			srv.clock.set(now)
			srv.sweepTurn(func() { srv.closeIdle(now) })
		}
	}
}

// sweepTurn is one turn of the sweeper. After a panic in it the next one comes, a second later: a defect that stays must not fill the log.
func (srv *Server) sweepTurn(f func()) {
	defer func() {
		if p := recover(); p != nil {
			_ = srv.defect("panic in the sweeper, which goes on", p, nil)
			time.Sleep(time.Second)
		}
	}()
	f()
}

// closeIdle wakes the sessions that are overdue, each of which closes itself on its event loop, and, when too much is unread or held altogether,
// those that have some of it.
func (srv *Server) closeIdle(now time.Time) {
	scarce, short := srv.unread.scarce(), srv.held.short()
	srv.sessions.each(func(s *session) {
		overdue := s.isOverdue(now)
		if overdue {
			s.overdue.Store(true)
		}
		if overdue || scarce && s.counted.Load() > 0 || short && s.held.Load() > 0 {
			s.wake()
		}
	})
}

// isOverdue says whether the client has been silent, or without a proof, for too long. While its login waits for a worker the time is not the client's.
func (s *session) isOverdue(now time.Time) bool {
	since := now.Sub(time.Unix(0, s.active.Load()))
	if !s.greeted.Load() {
		return since > time.Duration(s.patience.Load()) && !s.unready.Load()
	}
	if s.begun.Load() && since > legacyControlTime {
		return true
	}
	return s.srv.cfg.IdleTimeout > 0 && !s.busy.Load() && since > s.srv.cfg.IdleTimeout
}

// tooSlow is what a connection is told that has not proved the password in time.
var tooSlow = &secure.Refusal{Code: secure.RefusedTimeout, Text: "no password proved in time"}

// closeOverdue closes the session if the sweeper found it overdue and that is still so.
func (s *session) closeOverdue() {
	if !s.overdue.Swap(false) || s.closing || !s.isOverdue(s.srv.clock.now()) {
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
