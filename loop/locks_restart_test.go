package loop

import (
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// TestLocksStay: a lock that is held is held after a stop, a kill and a load, by the same owner,
// and its lease goes on by absolute time. What was released or lost meanwhile is free; a new fence
// is higher than all before in the same database.
func TestLocksStay(t *testing.T) {
	eachSuccession(t, func(t *testing.T, clock *wallClock, srv *Server, next func() *Server) {
		w := dial(t, srv)
		w.ok(codec.OpCreateDict, "d", false)
		w.lock("brief", "one", 60_000)
		w.lock("renewed", "one", 60_000)
		held := w.lock("held", "one", leaseTime)
		w.lock("free", "one", leaseTime)
		w.ok(codec.OpUnlock, "free", ownerOf("one"))
		w.ok(codec.OpRenewLock, "renewed", ownerOf("one"), leaseTime)
		last := w.lock("last", "one", leaseTime)

		clock.jump(2 * time.Minute)
		w = dial(t, next())
		for name, want := range map[string]bool{"brief": false, "renewed": true, "held": true, "free": false} {
			holders := w.ok(codec.OpLockHolders, name)[0].([]any)
			if got := len(holders) == 1; got != want {
				t.Errorf("%q is held by %v", name, holders)
			}
		}
		loaded := strings.Contains(t.Name(), "load") // its LSNs are those of another database
		if again := w.lock("held", "one", leaseTime); again != held && !loaded {
			t.Errorf("the fence of a lock that stays was %d and is %d", held, again)
		}
		if got := w.ok(codec.OpLock, "renewed", ownerOf("two"), 1, 0, 1); got[0] != nil {
			t.Errorf("another owner gets a lock that is held: %v", got)
		}
		if fence := w.lock("brief", "two", leaseTime); fence <= last && !loaded {
			t.Errorf("a lock whose lease has ended has fence %d, after %d", fence, last)
		}
	})
}
