package loop

import (
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// TestThrottle: a save sleeps while requests come, in proportion to its work. It does not without
// requests, when the server stops, or when a caller has waited for long.
func TestThrottle(t *testing.T) {
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
		setUp       func(p *throttle)
		least, most time.Duration // of rest
	}{
		{"busy", 2 * time.Millisecond, second, nil, throttleRatio * 2 * time.Millisecond, throttleRatio * throttleMaxBurst},
		{"long wait", time.Hour, second, func(p *throttle) { p.looked = time.Now() }, throttleRatio * throttleMaxBurst, throttleRatio * throttleMaxBurst},
		{"idle", 2 * time.Millisecond, 0, nil, 0, 0},
		{"little work", 0, second, func(p *throttle) { p.worked = time.Now().Add(time.Hour) }, 0, 0},
		{"stopping", 2 * time.Millisecond, second, func(*throttle) { srv.draining.Store(true) }, 0, 0},
		{"waited for", 2 * time.Millisecond, second, func(*throttle) { srv.saver.waiters.Store(1) }, throttleRatio * 2 * time.Millisecond, throttleRatio * throttleMaxBurst},
		{"waited for too long", 2 * time.Millisecond, second, func(p *throttle) { srv.saver.waiters.Store(1); p.slept = throttleMaxTotal }, 0, 0},
	} {
		p := newThrottle(srv)
		p.worked = p.worked.Add(-c.work)
		serve(c.requests)
		if c.setUp != nil {
			c.setUp(p)
		}
		before := p.slept
		for range throttleItems {
			p.wrote()
		}
		if rest := p.slept - before; rest < c.least || rest > c.most {
			t.Errorf("%s: rests %v, not %v to %v", c.name, rest, c.least, c.most)
		}
		srv.draining.Store(false)
		srv.saver.waiters.Store(0)
	}
}
