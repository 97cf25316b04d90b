package loop

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// paceInterval is between two looks of the sweeper at what changes within a moment, while
	// requests come.
	paceInterval = 5 * time.Millisecond
	// paceTurns is how many such looks follow one request. Then the clock stops until the next one.
	paceTurns = 10
	// sweepInterval is between two looks at every session, while requests come or something is due.
	sweepInterval = 250 * time.Millisecond
	// fullInterval is the same while more memory is used than may be: what was dropped is given
	// back in the background.
	fullInterval = time.Second
	// restInterval is the longest time between two of these while a client is connected.
	restInterval = 5 * time.Second
	// never is a time that does not come.
	never = time.Duration(math.MaxInt64)
)

// coarseClock is the time of the sweeper's last look: good for timeouts, cheap to read. It stops
// when no request comes, so that an idle server sleeps. The first reader starts it again, and reads
// the true time.
//
// A change that the sweeper must see is made before the clock is read, or started: if the sweeper
// has not seen it, the clock was stopped and wakes it.
type coarseClock struct {
	unixNanos atomic.Int64  // 0: the clock is stopped
	started   chan struct{} // wakes the sweeper
}

func (c *coarseClock) init(now time.Time) {
	c.started = make(chan struct{}, 1)
	c.set(now)
}

func (c *coarseClock) set(t time.Time) { c.unixNanos.Store(t.UnixNano()) }
func (c *coarseClock) stop()           { c.unixNanos.Store(0) }
func (c *coarseClock) runs() bool      { return c.unixNanos.Load() != 0 }
func (c *coarseClock) now() time.Time  { return time.Unix(0, c.nanos()) }

func (c *coarseClock) nanos() int64 {
	if n := c.unixNanos.Load(); n != 0 {
		return n
	}
	return c.start()
}

// start starts the clock, if it is stopped, and wakes the sweeper. It returns the time.
func (c *coarseClock) start() int64 {
	now := time.Now().UnixNano()
	if c.unixNanos.CompareAndSwap(0, now) {
		select {
		case c.started <- struct{}{}:
		default: // the sweeper has not taken the last one yet
		}
	}
	return now
}

// sweeper keeps the clock, looks at memory and at the journal, closes connections that are idle or
// slow to prove themselves, and wakes the paused ones, since gnet does not tell when a client has
// read. While no request comes it sleeps until something is due.
type sweeper struct {
	srv   *Server
	pace  *time.Ticker // stopped while the clock is
	turns int          // of pace, since the clock was started
	sweep *time.Timer
	next  time.Time // when sweep comes
}

// sweep runs the sweeper until the server stops.
func (srv *Server) sweep() {
	w := &sweeper{srv: srv, pace: time.NewTicker(paceInterval), sweep: time.NewTimer(never)}
	defer w.pace.Stop()
	defer w.sweep.Stop()
	w.wake(time.Now())
	for {
		select {
		case <-srv.sweeps:
			return
		case <-srv.clock.started:
			w.wake(time.Now())
		case now := <-w.pace.C:
			w.paceTurn(now)
		case now := <-w.sweep.C:
			w.sweepTurn(now)
		}
	}
}

// wake begins to look often: a request has come.
func (w *sweeper) wake(now time.Time) {
	w.turns = 0
	w.pace.Reset(paceInterval)
	w.look()
	if soon := now.Add(sweepInterval); w.next.IsZero() || w.next.After(soon) {
		w.next = soon
		w.sweep.Reset(sweepInterval)
	}
}

// look looks at what changes within a moment.
func (w *sweeper) look() {
	w.srv.guardSweeper(func() {
		w.srv.memory.look(w.srv.store)
		w.srv.lookBehind()
		w.srv.sessions.eachPaused((*session).wake)
	})
}

// paceTurn keeps the clock, and stops it if no request has come for long and no client is paused.
func (w *sweeper) paceTurn(now time.Time) {
	w.srv.clock.set(now)
	w.look()
	if w.turns++; w.turns < paceTurns || w.srv.behind.Load() || w.srv.sessions.anyPaused() {
		return
	}
	w.pace.Stop()
	w.srv.clock.stop()
}

// sweepTurn looks at every session, and has the saver look whether a save is due.
func (w *sweeper) sweepTurn(now time.Time) {
	if w.srv.clock.runs() {
		w.srv.clock.set(now)
	}
	rest := sweepInterval
	w.srv.guardSweeper(func() {
		w.srv.memory.look(w.srv.store)
		rest = w.srv.closeIdle(now)
		w.srv.saver.lookSoon()
	})
	if w.srv.clock.runs() {
		rest = sweepInterval
	}
	w.next = now.Add(rest)
	w.sweep.Reset(rest)
}

// guardSweeper calls f. After a panic in it the sweeper goes on, a second later: a defect that
// stays must not fill the log.
func (srv *Server) guardSweeper(f func()) {
	defer func() {
		if p := recover(); p != nil {
			_ = srv.defect("panic in the sweeper, which goes on", p, nil)
			time.Sleep(time.Second)
		}
	}()
	f()
}

// closeIdle wakes the sessions that are overdue, each of which closes itself on its event loop,
// and, when too much is unread or held altogether, those that have some of it. It returns when to
// look again, if no request comes before.
func (srv *Server) closeIdle(now time.Time) (rest time.Duration) {
	scarce, short := srv.replies.scarce(), srv.requests.short()
	rest = never
	connected := srv.sessions.each(func(s *session) {
		left := s.timeLeft(now.UnixNano())
		rest = min(rest, left)
		if left <= 0 {
			s.auth.marks.set(timedOut)
		}
		if left <= 0 || scarce && s.output.counted.Load() > 0 || short && s.input.counted.Load() > 0 {
			s.wake()
		}
	})
	switch {
	case scarce || short || srv.besides.Load() > 0:
		return sweepInterval
	case srv.memory.full():
		rest = min(rest, fullInterval)
	case !connected:
		return never
	}
	return min(max(rest, sweepInterval), restInterval)
}
