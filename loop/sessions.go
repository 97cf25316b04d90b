package loop

import (
	"log/slog"
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

// sweep keeps the clock, closes connections that are idle or slow to prove themselves, and wakes the paused ones, since gnet
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
			srv.sessions.eachPaused((*session).wake)
		case now := <-sweep.C:
			srv.clock.set(now)
			srv.closeIdle(now)
		}
	}
}

// tooSlow is what a connection is told that has not proved the password in time.
var tooSlow = &secure.Refusal{Code: secure.RefusedTimeout, Text: "no password proved in time"}

func (srv *Server) closeIdle(now time.Time) {
	idle := srv.cfg.IdleTimeout
	srv.sessions.each(func(s *session) {
		since := now.Sub(time.Unix(0, s.active.Load()))
		switch {
		case !s.greeted.Load() && since > handshakeTime:
			srv.counters.refused.Add(1)
			srv.acceptLog.warn("connection closed", slog.String("peer", peerName(s.peer)), slog.String("reason", tooSlow.Text))
			_ = s.conn.AsyncWrite(secure.AppendRefusal(nil, tooSlow), nil)
		case idle > 0 && s.greeted.Load() && !s.busy.Load() && since > idle:
			srv.counters.idleClosed.Add(1)
		default:
			return
		}
		_ = s.conn.Close()
	})
}

// setReadLow sets how many bytes must have arrived before a socket counts as readable: the way to leave one unread, which
// gnet has no call for. A socket that does not know the option stays readable, which costs memory up to maxAheadBytes.
func setReadLow(fd, bytes int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes)
}
