package loop

import (
	"runtime"
	"time"

	"cyberdb-fast/codec"
)

// A save competes with requests for the processors, and is not urgent. So it is throttled under
// load: it works for a moment and sleeps for several. It does the same work and takes longer, and
// writers keep the old versions for it longer. So is the computation of a digest.

const (
	// throttleRatio is how much longer a save sleeps than it works. A sleep is seldom shorter than
	// a millisecond, so the ratio is often larger.
	throttleRatio = 3
	// throttleBurst is the least time that a save works between two sleeps.
	throttleBurst = 100 * time.Microsecond
	// throttleMaxBurst is the most that counts as work: a longer time was a wait, for the disk for
	// example.
	throttleMaxBurst = 10 * time.Millisecond
	// throttleItems is how many items are written between two readings of the clock.
	throttleItems = 64
	// throttleRate is the rate of requests, in a second, above which a save sleeps.
	throttleRate = 2000
	// throttleMaxTotal is how long a save sleeps in all at most if a caller waits for its end.
	throttleMaxTotal = 10 * time.Second
)

// throttle makes a save sleep. One goroutine uses it.
type throttle struct {
	srv    *Server
	items  int
	worked time.Time     // since when
	slept  time.Duration // in all
	served uint64        // requests at the last look
	looked time.Time
	// a caller waits for the end, besides those that wait for a save
	awaited bool
}

func newThrottle(srv *Server) *throttle {
	now := time.Now()
	return &throttle{srv: srv, worked: now, served: srv.served(), looked: now}
}

// paceDigest throttles the computation of a digest.
func (srv *Server) paceDigest() func() error {
	pace := newThrottle(srv)
	pace.awaited = true
	return func() error {
		if err := pace.wrote(); err != nil {
			return &codec.Error{Status: codec.StatusOverloaded, Message: err.Error()}
		}
		return nil
	}
}

// wrote is called for each table and each item, without a lock. It sleeps if that is due. It
// returns errCutShort if the save must end.
func (p *throttle) wrote() error {
	if p.srv.hurry.over.Load() {
		return errCutShort
	}
	if p.items++; p.items%throttleItems != 0 {
		return nil
	}
	now := time.Now()
	worked := now.Sub(p.worked)
	if worked < throttleBurst {
		return nil
	}
	switch {
	case p.maySleep(now):
		pause := throttleRatio * min(worked, throttleMaxBurst)
		p.slept += pause
		time.Sleep(pause)
	case p.awaited: // clients may ask for one digest after the other: the loops need not wait for it
		runtime.Gosched()
	}
	p.worked = time.Now()
	return nil
}

// maySleep says whether requests are coming, and no caller has waited for long.
func (p *throttle) maySleep(now time.Time) bool {
	served, since := p.srv.served(), now.Sub(p.looked).Seconds()
	busy := float64(served-p.served) > throttleRate*since
	p.served, p.looked = served, now
	return busy && !p.srv.draining.Load() &&
		(!p.awaited && p.srv.saver.waiters.Load() == 0 || p.slept < throttleMaxTotal)
}
