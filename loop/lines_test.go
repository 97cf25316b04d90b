package loop

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// TestLeaseShortened: who waits for a lock gets it when its lease ends, also if the owner has made
// that earlier meanwhile.
func TestLeaseShortened(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	for name, shorten := range map[string]func(){
		"renew": func() { w.ok(codec.OpRenewLock, "renew", ownerOf("one"), 30) },
		"lock":  func() { w.lock("lock", "one", 30) },
	} {
		w.lock(name, "one", leaseTime)
		id := other.sendLock(name, "two", leaseTime)
		w.waitingFor(t, name, 1)
		shorten()
		other.fence(id)
	}
	for key, shorten := range []func(){
		func() { w.ok(codec.OpRenewCompute, "d", 0, ownerOf("one"), 30) },
		func() { w.ok(codec.OpDictGetOrCompute, "d", 1, ownerOf("one"), 30, 0, 0) },
	} {
		w.ok(codec.OpDictGetOrCompute, "d", key, ownerOf("one"), leaseTime, 0, 0)
		id := other.sendCompute(key, "two", leaseTime, 0)
		waiters(t, srv, 1)
		shorten()
		if got := decodeAll(t, other.next(id).Body); got[0] != int64(3) {
			t.Errorf("who has waited for key %d is answered %v", key, got)
		}
	}
}

// TestClockSetForward: who waits for a lock gets it soon after the clock was set beyond the end of
// the lease, though its own timer does not see that.
func TestClockSetForward(t *testing.T) {
	t.Parallel()
	clock := new(wallClock)
	srv := startLimited(t, nil, clock.limit)
	w, other := dial(t, srv), dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	w.lock("a", "one", leaseTime)
	w.ok(codec.OpDictGetOrCompute, "d", 1, ownerOf("one"), leaseTime, 0, 0)
	lock := w.sendLock("a", "two", leaseTime)
	compute := other.sendCompute(1, "two", leaseTime, 0)
	waiters(t, srv, 2)
	clock.jump(2 * leaseTime * time.Millisecond)
	w.fence(lock)
	if got := decodeAll(t, other.next(compute).Body); got[0] != int64(3) {
		t.Errorf("who has waited for a value is answered %v", got)
	}
}

// TestDropEndsLeases: DROP of the table of the locks ends the leases of those that compute.
func TestDropEndsLeases(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	w.ok(codec.OpDictGetOrCompute, "d", 1, ownerOf("one"), leaseTime, 0, 0)
	id := other.sendCompute(1, "two", leaseTime, 0)
	waiters(t, srv, 1)
	w.ok(codec.OpDrop, engine.LocksTable)
	if got := decodeAll(t, other.next(id).Body); got[0] != int64(3) {
		t.Errorf("who has waited is answered %v", got)
	}
}

// TestLocksDropped: requests about locks find no lock while others drop them all, and never no
// table.
func TestLocksDropped(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	end := time.Now().Add(300 * time.Millisecond)
	var all sync.WaitGroup
	for i := range 3 {
		w, owner := dial(t, srv), ownerOf(fmt.Sprint(i))
		all.Go(func() {
			for time.Now().Before(end) {
				for op, args := range map[codec.Opcode][]any{
					codec.OpLock: {"a", owner, leaseTime, 0, 2}, codec.OpUnlock: {"a", owner},
					codec.OpRenewLock: {"a", owner, leaseTime}, codec.OpLockHolders: {"a"},
				} {
					switch status := w.call(op, args...).Status; status {
					case codec.StatusOK, codec.StatusLockLost, codec.StatusOverloaded:
					default:
						t.Errorf("%v: %v", op, status)
						return
					}
				}
			}
		})
	}
	for w := dial(t, srv); time.Now().Before(end); {
		w.call(codec.OpDrop, engine.LocksTable)
	}
	all.Wait()
}

// TestSameOwnerWaitsOnce: a request of an owner that waits already takes over its place. The older
// one is canceled.
func TestSameOwnerWaitsOnce(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, first, other, again := dial(t, srv), dial(t, srv), dial(t, srv), dial(t, srv)
	fence := w.lock("a", "holder", leaseTime)
	older := first.sendLock("a", "one", leaseTime)
	w.waitingFor(t, "a", 1)
	behind := other.sendLock("a", "other", leaseTime)
	w.waitingFor(t, "a", 2)
	newer := again.sendLock("a", "one", leaseTime)
	if reply := first.next(older); reply.Status != codec.StatusCanceled {
		t.Errorf("the older request of the owner: %v", reply.Status)
	}
	w.waitingFor(t, "a", 2)
	w.ok(codec.OpUnlock, "a", ownerOf("holder"))
	if got := again.fence(newer); got <= fence {
		t.Errorf("fence %d after %d", got, fence)
	}
	w.ok(codec.OpUnlock, "a", ownerOf("one"))
	other.fence(behind)
}

// TestUnlockMeetsGrant: UNLOCK of an owner whose LOCK waits leaves nothing of it, though the lock
// is being granted at that moment.
func TestUnlockMeetsGrant(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, waits, other := dial(t, srv), dial(t, srv), dial(t, srv)
	for round := range 200 {
		w.lock("a", "holder", leaseTime)
		id := waits.sendLock("a", "one", leaseTime)
		w.waitingFor(t, "a", 1)
		other.write(other.request(codec.OpUnlock, "a", ownerOf("one")))
		w.ok(codec.OpUnlock, "a", ownerOf("holder"))
		other.next(other.id)
		waits.next(id)
		if got := w.ok(codec.OpLockHolders, "a"); len(got[0].([]any)) != 0 {
			t.Fatalf("round %d: after UNLOCK of all owners, these hold the lock: %v", round, got)
		}
	}
}

// TestEndLeavesLine: the requests of a connection that is closed leave their lines when its end
// begins, not when its client has read the last replies.
func TestEndLeavesLine(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, ends := dial(t, srv), dial(t, srv)
	w.lock("a", "holder", leaseTime)
	ends.sendLock("a", "one", leaseTime)
	w.waitingFor(t, "a", 1)
	srv.loopsMu.Lock()
	defer srv.loopsMu.Unlock()
	for el := range srv.loops {
		if err := runOn(el, func() {
			srv.sessions.each(func(s *session) {
				if s.conn.EventLoop() != el || len(s.deferred.waiters()) == 0 {
					return
				}
				if s.close(); len(s.deferred.waiters()) != 0 {
					t.Errorf("%d requests of a connection that is being closed wait", len(s.deferred.waiters()))
				}
			})
		}); err != nil {
			t.Fatal(err)
		}
	}
	if n := srv.waiting.Load(); n != 0 {
		t.Errorf("%d requests wait", n)
	}
}

// TestComputedByAStranger: COMPUTED of an owner that has no lease executes no request again that
// waits, and leaves the lease.
func TestComputedByAStranger(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	commands := engine.Protocol()
	compute := &commands[codec.OpDictGetOrCompute]
	run := compute.Run
	compute.Run = func(x *engine.Executor) error {
		runs.Add(1)
		return run(x)
	}
	srv := startServer(t, func(cfg *Config) { cfg.Commands = commands })
	w, other := dial(t, srv), dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("one"), leaseTime, 0, 0)
	id := other.sendCompute("k", "two", leaseTime, 0)
	waiters(t, srv, 1)
	other.ok(codec.OpPing) // the request was executed as often as it takes to wait
	before := runs.Load()
	w.ok(codec.OpDictSet, "d", "k", 1)
	if got := w.ok(codec.OpComputed, "d", "k", ownerOf("stranger")); got[0] != false {
		t.Errorf("COMPUTED of a stranger: %v", got)
	}
	other.ok(codec.OpPing)
	if n := runs.Load(); n != before {
		t.Errorf("what waits was executed %d times more", n-before)
	}
	if got := w.ok(codec.OpComputed, "d", "k", ownerOf("one")); got[0] != true {
		t.Errorf("COMPUTED of the owner: %v", got)
	}
	if got := decodeAll(t, other.next(id).Body); got[0] != int64(0) {
		t.Errorf("who has waited is answered %v", got)
	}
}

// TestSemaphoreSizes: each LOCK of a semaphore says how many owners may hold it for it to be
// granted.
func TestSemaphoreSizes(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	try := func(owner string, n int) bool {
		return w.ok(codec.OpLock, "s", ownerOf(owner), leaseTime, 0, n)[0] != nil
	}
	if !try("one", 1) || try("two", 1) || !try("two", 2) || try("three", 1) || try("three", 2) || !try("three", 3) {
		t.Error("three owners do not get a semaphore one by one, for 1, 2 and 3 owners")
	}
	id := other.sendLock("s", "four", leaseTime)
	w.waitingFor(t, "s", 1)
	w.ok(codec.OpUnlock, "s", ownerOf("three"))
	w.ok(codec.OpUnlock, "s", ownerOf("two"))
	w.waitingFor(t, "s", 1)
	w.ok(codec.OpUnlock, "s", ownerOf("one"))
	other.fence(id)
}

// TestClockSetBack: a wall clock that is set back makes no lease longer.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	clock := new(wallClock)
	srv := startLimited(t, nil, clock.limit)
	w := dial(t, srv)
	first := w.lock("a", "one", 100)
	id := w.sendLock("a", "two", leaseTime)
	clock.jump(-leaseTime * time.Millisecond)
	if fence := w.fence(id); fence <= first {
		t.Errorf("fence %d after %d", fence, first)
	}
}
