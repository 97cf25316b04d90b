package loop

import (
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// TestQueuesStay: leases, delays and deliveries go on by absolute time over a stop, a kill and a
// load, whose receipts are new.
func TestQueuesStay(t *testing.T) {
	eachSuccession(t, func(t *testing.T, clock *wallClock, srv *Server, next func() *Server) {
		w := dial(t, srv)
		w.ok(codec.OpCreateDict, "d", false)
		w.ok(codec.OpCreateList, "q", false, "a", "b", "c", "d")
		brief, _, _ := w.take("q", "0", 60_000)
		kept, _, _ := w.take("q", "1", leaseTime)
		w.ok(codec.OpListPut, "q", "soon", 60_000)
		w.ok(codec.OpListPut, "q", "later", leaseTime)

		clock.jump(2 * time.Minute)
		w = dial(t, next())
		w.until([]any{"a", "c", "d", "soon"}, codec.OpListAll, "q")
		w.until([]any{int64(1), int64(1)}, codec.OpListHeld, "q")
		w.fails(codec.StatusLeaseExpired, codec.OpListAck, "q", brief)
		if strings.Contains(t.Name(), "load") {
			w.fails(codec.StatusLeaseExpired, codec.OpListAck, "q", kept)
		} else {
			w.ok(codec.OpListAck, "q", kept)
		}
		if _, deliveries, val := w.take("q", "2", leaseTime); deliveries != 2 || val != "a" {
			t.Errorf("%v, delivered %d times", val, deliveries)
		}
		if _, deliveries, val := w.take("q", "3", leaseTime); deliveries != 1 || val != "c" {
			t.Errorf("%v, delivered %d times", val, deliveries)
		}
	})
}

// TestItemsAndClocks: leases and delays end when a wall clock is set forward, and are no longer
// when it is set back.
func TestItemsAndClocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		span int // ms of the lease and of the delay
		jump time.Duration
	}{
		"forward": {leaseTime, leaseTime * time.Millisecond},
		"back":    {100, -leaseTime * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := new(wallClock)
			srv := startLimited(t, nil, clock.limit)
			w := dial(t, srv)
			w.ok(codec.OpCreateList, "q", false, "a")
			receipt, _, _ := w.take("q", "0", c.span)
			w.ok(codec.OpListPut, "q", "later", c.span)
			clock.jump(c.jump)
			w.until([]any{"a", "later"}, codec.OpListAll, "q")
			w.fails(codec.StatusLeaseExpired, codec.OpListAck, "q", receipt)
		})
	}
}
