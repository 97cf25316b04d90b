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
// read. While no request comes it sleeps until something is due. Once the server is at rest it
// returns memory to the system (rest.go).
type sweeper struct {
	srv   *Server
	pace  *time.Ticker // stopped while the clock is
	ticks int          // of pace, since the clock was started
	sweep *time.Timer
	next  time.Time // when sweep comes
	quiet time.Time // when quietTime began; zero: requests come, or memory was returned
	spare spareHeap
	ahead int64 // of storeTime, at the last sweep
}

// sweep runs the sweeper until the server stops.
func (srv *Server) sweep() {
	w := &sweeper{srv: srv, pace: time.NewTicker(paceInterval), sweep: time.NewTimer(never)}
	w.spare.init()
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
	w.quiet = time.Time{}
	w.check()
	w.sweepWithin(sweepInterval, now)
}

// sweepWithin makes the next sweep come no later than that.
func (w *sweeper) sweepWithin(d time.Duration, now time.Time) {
	if soon := now.Add(d); w.next.IsZero() || w.next.After(soon) {
		w.next = soon
		w.sweep.Reset(d)
	}
}

// check checks what may change from one tick to the next.
func (w *sweeper) check() {
	w.srv.guardSweeper(func() {
		w.srv.memory.measure(w.srv.store)
		w.srv.checkBacklog()
		w.srv.sessions.eachPaused((*session).wake)
	})
}

// paceTick sets the clock, and stops it if no request has come for long and no client is paused.
func (w *sweeper) paceTick(now time.Time) {
	w.srv.clock.set(now)
	w.check()
	if w.ticks++; w.ticks < paceTicks || w.srv.backlogged.Load() || w.srv.sessions.anyPaused() {
		return
	}
	w.pace.Stop()
	w.srv.clock.stop()
	w.quiet = now
	w.sweepWithin(quietTime, now)
}

// sweepTick looks at every session, and makes the saver check whether a save is due.
func (w *sweeper) sweepTick(now time.Time) {
	if w.srv.clock.runs() {
		w.srv.clock.set(now)
	}
	rest := sweepInterval
	w.srv.guardSweeper(func() {
		w.srv.memory.measure(w.srv.store)
		w.checkClock()
		w.spare.look()
		rest = w.wakeIdle(now)
		w.srv.saver.checkSoon()
	})
	switch {
	case w.srv.clock.runs():
		rest = sweepInterval
	case !w.quiet.IsZero():
		rest = min(rest, w.returnMemory(now))
	}
	w.next = now.Add(rest)
	w.sweep.Reset(rest)
}

// leastStep is by how much the wall clock must have been set forward for requests to look at what
// they wait for, in microseconds.
const leastStep = 500_000

// checkClock wakes those that wait for the end of a lease if the wall clock was set forward. Their
// timers count monotonic time.
func (w *sweeper) checkClock() {
	w.srv.now()
	if ahead := w.srv.time.ahead.Load(); ahead-w.ahead > leastStep {
		w.ahead = ahead
		w.srv.engine.ClockSet()
	}
}

// addGarbage notes that so many bytes become garbage, which are to be returned too.
func (w *sweeper) addGarbage(bytes uint64, now time.Time) {
	w.spare.dropped += bytes
	w.quiet = now
}

// returnMemory returns memory to the system if the server has been quiet for long enough. It
// returns when to look again.
func (w *sweeper) returnMemory(now time.Time) time.Duration {
	left := max(quietTime-now.Sub(w.quiet), time.Duration(w.spare.next.Load()-now.UnixNano()))
	switch {
	case left > 0:
		return left
	case w.srv.backgroundJobs.Load() > 0 || w.spare.giving.Load():
		return sweepInterval
	}
	w.quiet = time.Time{}
	w.spare.giveBack()
	return never
}

// guardSweeper calls f. After a panic in f the sweeper continues a second later, so that a repeated
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

// wakeIdle wakes the sessions that have timed out, which close themselves on their event loops.
// It also wakes those that were idle for keysTime, which drop their keys, and, when a budget is
// short, those that use some of it. It returns when to look again, if no request comes before.
func (w *sweeper) wakeIdle(now time.Time) (rest time.Duration) {
	srv := w.srv
	overLimit, nearLimit := srv.replies.overLimit(), srv.requests.nearLimit()
	rest = never
	connected := srv.sessions.each(func(s *session) {
		left := s.timeLeft(now.UnixNano())
		rest = min(rest, left)
		if left <= 0 {
			s.auth.marks.set(timedOut)
		}
		keysLeft := s.auth.keysLeft(now.UnixNano(), s.output.busy.Load())
		rest = min(rest, keysLeft)
		if keysLeft <= 0 {
			s.auth.marks.set(keysIdle)
			w.addGarbage(keysBytes, now)
		}
		heavy := overLimit && s.output.counted.Load() > 0 || nearLimit && s.input.counted.Load() > 0
		if left <= 0 || keysLeft <= 0 || heavy {
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
