package loop

import (
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// TestPacer: a save rests while others are served, in proportion to its work; not when nobody is,
// nor when the server stops, nor when somebody has waited for long.
func TestPacer(t *testing.T) {
	srv := startServer(t, nil)
	dial(t, srv).ok(codec.OpPing)
	serve := func(n uint64) {
		srv.loopsMu.Lock()
		defer srv.loopsMu.Unlock()
		for _, l := range srv.loops {
			l.requests.Add(n)
		}
	}
	const second = 1_000_000 // requests in a moment are many, whatever the machine does meanwhile
	for _, c := range []struct {
		name        string
		work        time.Duration
		requests    uint64
		setUp       func(p *pacer)
		least, most time.Duration // of rest
	}{
		{"busy", 2 * time.Millisecond, second, nil, paceRests * 2 * time.Millisecond, paceRests * paceLongest},
		{"long wait", time.Hour, second, func(p *pacer) { p.looked = time.Now() }, paceRests * paceLongest, paceRests * paceLongest},
		{"idle", 2 * time.Millisecond, 0, nil, 0, 0},
		{"little work", 0, second, func(p *pacer) { p.worked = time.Now().Add(time.Hour) }, 0, 0},
		{"stopping", 2 * time.Millisecond, second, func(*pacer) { srv.draining.Store(true) }, 0, 0},
		{"waited for", 2 * time.Millisecond, second, func(*pacer) { srv.saver.waited.Store(1) }, paceRests * 2 * time.Millisecond, paceRests * paceLongest},
		{"waited for too long", 2 * time.Millisecond, second, func(p *pacer) { srv.saver.waited.Store(1); p.rested = paceWaited }, 0, 0},
	} {
		p := newPacer(srv)
		p.worked = p.worked.Add(-c.work)
		serve(c.requests)
		if c.setUp != nil {
			c.setUp(p)
		}
		before := p.rested
		for range paceItems {
			p.wrote()
		}
		if rest := p.rested - before; rest < c.least || rest > c.most {
			t.Errorf("%s: rests %v, not %v to %v", c.name, rest, c.least, c.most)
		}
		srv.draining.Store(false)
		srv.saver.waited.Store(0)
	}
}
