package loop

import "time"

// A save takes the processors from those who are served, and has no hurry: while requests are
// coming it works for a moment and rests for several. Its work is the same, and takes longer; what
// writers have to keep for it meanwhile is kept longer, too.

const (
	// paceRests is how much longer a save rests than it works. A rest is seldom shorter than a
	// millisecond, so it is often more.
	paceRests = 3
	// paceBurst is how long a save works at once at least.
	paceBurst = 100 * time.Microsecond
	// paceLongest is the most that counts as work done at once: what took longer was a wait, for
	// the disk for example.
	paceLongest = 10 * time.Millisecond
	// paceItems is how many items are written between two looks at the clock.
	paceItems = 64
	// paceRate is how many requests a second are so few that a save need not rest.
	paceRate = 2000
	// paceWaited is how long a save rests in all at most if somebody waits for its end.
	paceWaited = 10 * time.Second
)

// pacer tells a save when to rest. One goroutine uses it.
type pacer struct {
	srv    *Server
	items  int
	worked time.Time     // since when
	rested time.Duration // in all
	served uint64        // requests when it was last looked
	looked time.Time
}

func newPacer(srv *Server) *pacer {
	now := time.Now()
	return &pacer{srv: srv, worked: now, served: srv.served(), looked: now}
}

// wrote is called for each table and each item, without a lock. It rests if it is time to. It
// returns errCutShort if the save must not go on.
func (p *pacer) wrote() error {
	if p.srv.hurry.over.Load() {
		return errCutShort
	}
	if p.items++; p.items%paceItems != 0 {
		return nil
	}
	now := time.Now()
	worked := now.Sub(p.worked)
	if worked < paceBurst {
		return nil
	}
	if p.mayRest(now) {
		rest := paceRests * min(worked, paceLongest)
		p.rested += rest
		time.Sleep(rest)
	}
	p.worked = time.Now()
	return nil
}

// mayRest says whether others are served, and nobody has waited for long.
func (p *pacer) mayRest(now time.Time) bool {
	served, since := p.srv.served(), now.Sub(p.looked).Seconds()
	busy := float64(served-p.served) > paceRate*since
	p.served, p.looked = served, now
	return busy && !p.srv.draining.Load() && (p.srv.saver.waited.Load() == 0 || p.rested < paceWaited)
}
