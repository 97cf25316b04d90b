package loop

import "time"

// A save takes the processors from those who are served, and has no hurry. While requests are coming it works for a moment and then rests for several;
// nobody is told to wait for it, so its work is the same, and takes longer.

const (
	// paceRests is how much longer a save rests than it works: a fifth of one processor is its share.
	paceRests = 4
	// paceBurst is how long a save works at once at least: a rest cannot be much shorter than a millisecond.
	paceBurst = 250 * time.Microsecond
	// paceItems is how many items are written between two looks at the clock.
	paceItems = 64
	// paceRate is how many requests a second are so few that a save need not rest.
	paceRate = 2000
)

// pacer tells a save when to rest. One goroutine uses it.
type pacer struct {
	srv    *Server
	items  int
	looked time.Time // the end of the last rest, or the beginning
	served uint64    // requests until the rest before that
	since  time.Time // of served
}

func newPacer(srv *Server) *pacer {
	now := time.Now()
	return &pacer{srv: srv, looked: now, served: srv.served(), since: now}
}

// wrote is called after each item that was written. It rests if it is time to.
func (p *pacer) wrote() {
	if p.items++; p.items%paceItems != 0 {
		return
	}
	now := time.Now()
	worked := now.Sub(p.looked)
	if worked < paceBurst {
		return
	}
	served := p.srv.served()
	if float64(served-p.served) > paceRate*now.Sub(p.since).Seconds() && !p.srv.draining.Load() {
		time.Sleep(paceRests * worked)
	}
	p.served, p.since = served, now
	p.looked = time.Now()
}
