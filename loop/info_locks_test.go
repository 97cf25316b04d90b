package loop

import (
	"encoding/json"
	"reflect"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// TestInfoLocks: INFO "locks" tells what is held and who waits for it, "waiting" which lines there
// are, and the figures of INFO agree.
func TestInfoLocks(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	section := func(name string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(w.ok(codec.OpInfo, name)[0].(string)), into); err != nil {
			t.Fatal(err)
		}
	}
	var locks struct {
		Held  int
		Locks []engine.LockFigures
		More  bool
	}
	if section("locks", &locks); locks.Held != 0 || len(locks.Locks) != 0 {
		t.Errorf("%+v of a new server", locks)
	}
	first := w.lock("one", "a", leaseTime)
	w.ok(codec.OpLock, "pool", ownerOf("a"), leaseTime, 0, 3)
	w.ok(codec.OpLock, "pool", ownerOf("b"), leaseTime, 0, 3)
	other := dial(t, srv)
	other.sendLock("one", "c", leaseTime)
	other.sendLock("one", "d", leaseTime)
	w.waitingFor(t, "one", 2)
	section("locks", &locks)
	if locks.Held != 3 || len(locks.Locks) != 3 || locks.More {
		t.Fatalf("%+v", locks)
	}
	for i, want := range []engine.LockFigures{
		{Kind: "lock", Name: "one", Fence: uint64(first), Waiters: 2},
		{Kind: "lock", Name: "pool"},
		{Kind: "lock", Name: "pool", Slot: 1},
	} {
		got := locks.Locks[i]
		if got.LeftMS <= 0 || got.LeftMS > leaseTime+1 || got.Fence == 0 {
			t.Errorf("%+v", got)
		}
		if got.LeftMS = 0; i > 0 {
			got.Fence = 0
		}
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	var waiting struct {
		Lines []engine.LineFigures
		More  bool
	}
	section("waiting", &waiting)
	if want := []engine.LineFigures{{Kind: "lock", Name: "one", Waiters: 2}}; !reflect.DeepEqual(waiting.Lines, want) {
		t.Errorf("%+v", waiting)
	}
	if info := srv.Info(); info.LocksHeld != 3 || info.Waits["LOCK"] != 2 {
		t.Errorf("%d locks, waits %v", info.LocksHeld, info.Waits)
	}
	_ = other.conn.Close()
	w.waitingFor(t, "one", 0)
	for _, owner := range []string{"a", "b"} {
		w.ok(codec.OpUnlock, "pool", ownerOf(owner))
	}
	w.ok(codec.OpUnlock, "one", ownerOf("a"))
	locks.Locks = nil
	if section("locks", &locks); locks.Held != 0 || len(locks.Locks) != 0 {
		t.Errorf("%+v after all are released", locks)
	}
}
