package loop

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// paceInterval is the time between two ticks of the sweeper while requests come.
	paceInterval = 5 * time.Millisecond
	// paceTicks is how many ticks follow one request. Then the clock stops until the next request.
	paceTicks = 10
	// sweepInterval is the time between two looks at every session, while requests come or
	// something is due.
	sweepInterval = 250 * time.Millisecond
	// fullInterval is the same while more memory is used than may be: dropped tables are freed in
	// the background.
	fullInterval = time.Second
	// restInterval is the longest time between two of these while a client is connected.
	restInterval = 5 * time.Second
	// never is a time that does not come.
	never = time.Duration(math.MaxInt64)
)

// coarseClock is the time of the sweeper's last tick: exact enough for timeouts, and cheap to read.
// It stops when no request comes, so that an idle server sleeps. The first reader starts it again,
// and reads the exact time.
//
// A goroutine that makes a change for the sweeper to see reads or starts the clock afterwards. If
// the sweeper has not seen the change, the clock was stopped, and wakes it.
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

// sweeper sets the clock, checks the memory and the journal, closes connections that are idle or
// slow to authenticate, and wakes the paused ones, because gnet does not report when a client has
// read. While no request comes it sleeps until something is due.
type sweeper struct {
	srv   *Server
	pace  *time.Ticker // stopped while the clock is
	ticks int          // of pace, since the clock was started
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
			w.paceTick(now)
		case now := <-w.sweep.C:
			w.sweepTick(now)
		}
	}
}

// wake starts the ticks: a request has come.
func (w *sweeper) wake(now time.Time) {
	w.ticks = 0
	w.pace.Reset(paceInterval)
	w.look()
	if soon := now.Add(sweepInterval); w.next.IsZero() || w.next.After(soon) {
		w.next = soon
		w.sweep.Reset(sweepInterval)
	}
}

// look checks what may change from one tick to the next.
func (w *sweeper) look() {
	w.srv.guardSweeper(func() {
		w.srv.memory.look(w.srv.store)
		w.srv.lookBehind()
		w.srv.sessions.eachPaused((*session).wake)
	})
}

// paceTick sets the clock, and stops it if no request has come for long and no client is paused.
func (w *sweeper) paceTick(now time.Time) {
	w.srv.clock.set(now)
	w.look()
	if w.ticks++; w.ticks < paceTicks || w.srv.behind.Load() || w.srv.sessions.anyPaused() {
		return
	}
	w.pace.Stop()
	w.srv.clock.stop()
}

// sweepTick looks at every session, and makes the saver check whether a save is due.
func (w *sweeper) sweepTick(now time.Time) {
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

// guardSweeper calls f. After a panic in f the sweeper goes on a second later, so that a repeated
// panic does not fill the log.
func (srv *Server) guardSweeper(f func()) {
	defer func() {
		if p := recover(); p != nil {
			_ = srv.reportPanic("panic in the sweeper", p, nil)
			time.Sleep(time.Second)
		}
	}()
	f()
}

// closeIdle wakes the sessions that have timed out, which close themselves on their event loops.
// When a budget is short, it wakes those that use some of it too. It returns when to look again, if
// no request comes before.
func (srv *Server) closeIdle(now time.Time) (rest time.Duration) {
	overLimit, nearLimit := srv.replies.overLimit(), srv.requests.nearLimit()
	rest = never
	connected := srv.sessions.each(func(s *session) {
		left := s.timeLeft(now.UnixNano())
		rest = min(rest, left)
		if left <= 0 {
			s.auth.marks.set(timedOut)
		}
		if left <= 0 || overLimit && s.output.counted.Load() > 0 || nearLimit && s.input.counted.Load() > 0 {
			s.wake()
		}
	})
	switch {
	case overLimit || nearLimit || srv.backgroundJobs.Load() > 0:
		return sweepInterval
	case srv.memory.full():
		rest = min(rest, fullInterval)
	case !connected:
		return never
	}
	return min(max(rest, sweepInterval), restInterval)
}
