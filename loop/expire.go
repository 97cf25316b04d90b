package loop

import (
	"log/slog"
	"runtime"
	"time"

	"cyberdb-fast/loop/engine"
)

const (
	// expireInterval is the time between two passes that remove expired entries. Requests do not
	// see these entries; it bounds for how long lengths count them, and how often an idle server
	// wakes up.
	expireInterval = 60 * time.Millisecond
	// expireSlice is how long a pass removes entries before it lets others run.
	expireSlice = 500 * time.Microsecond
	// expireBehind is how long a pass may take before lengths are counted one by one.
	expireBehind = 20 * time.Millisecond
)

// expirer removes entries that have expired. It sleeps until one expires.
type expirer struct {
	srv   *Server
	woken chan struct{} // something is due earlier than the timer says
	ended chan struct{}
}

func newExpirer(srv *Server) *expirer {
	e := &expirer{srv: srv, woken: make(chan struct{}, 1), ended: make(chan struct{})}
	srv.store.OnDue(e.wake)
	srv.store.OnNoDeadLetters(func(table, deadLetters string) {
		srv.queueLog.warn("the table of the dead letters is no list, or is closed: they return to their queue",
			slog.String("table", table), slog.String("dead_letter", deadLetters))
	})
	return e
}

// wake makes run look at what is due.
func (e *expirer) wake() {
	select {
	case e.woken <- struct{}{}:
	default: // it has not taken the last one yet
	}
}

// run removes expired entries until the server stops.
func (e *expirer) run() {
	defer close(e.ended)
	sweeper := e.srv.engine.NewSweeper()
	timer := time.NewTimer(never)
	defer timer.Stop()
	pass := time.Now() // when the last one ended
	for {
		timer.Reset(max(e.untilDue(), expireInterval-time.Since(pass)))
		select {
		case <-e.srv.sweeps:
			return
		case <-e.woken:
			continue
		case <-timer.C:
		}
		e.pass(sweeper)
		pass = time.Now()
	}
}

// untilDue returns how long it takes until something is due.
func (e *expirer) untilDue() time.Duration {
	due := e.srv.store.NextDue()
	if due == 0 {
		return never
	}
	return time.Duration(min(due-e.srv.now(), int64(never/time.Millisecond))) * time.Millisecond
}

// pass removes all that has expired.
func (e *expirer) pass(sweeper *engine.Sweeper) {
	store := e.srv.store
	for began, more := time.Now(), true; more; {
		for slice := time.Now(); more && time.Since(slice) < expireSlice; {
			more = sweeper.Sweep(e.srv.now())
		}
		sweeper.Flush()
		if more && time.Since(began) > expireBehind {
			store.SetBehind(true)
		}
		runtime.Gosched()
		select {
		case <-e.srv.sweeps:
			return
		default:
		}
	}
	store.SetBehind(sweeper.Refused())
}

// now returns the time of the store, which decides what has expired.
func (srv *Server) now() int64 {
	now := srv.time.now()
	srv.store.SetNow(now)
	return now
}
