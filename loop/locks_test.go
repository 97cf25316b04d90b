package loop

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// leaseTime is a lease that does not end during a test, in milliseconds.
const leaseTime = 3_600_000

// ownerOf returns the 16 bytes that name an owner.
func ownerOf(name string) []byte { return append([]byte(name), make([]byte, 16-len(name))...) }

// sendLock sends a LOCK that waits as long as its connection, and returns its id.
func (w *wire) sendLock(name, owner string, ttl int) uint32 {
	w.Helper()
	w.write(w.request(codec.OpLock, name, ownerOf(owner), ttl, nil, 1))
	return w.id
}

// next reads a reply, which must be that to a request.
func (w *wire) next(id uint32) codec.Reply {
	w.Helper()
	reply, err := w.reply()
	if err != nil {
		w.Fatal(err)
	}
	if reply.ID != id {
		w.Fatalf("reply to request %d, want %d", reply.ID, id)
	}
	return reply
}

// fence reads the reply to a LOCK, which must have been granted.
func (w *wire) fence(id uint32) int64 {
	w.Helper()
	reply := w.next(id)
	all := decodeAll(w, reply.Body)
	if reply.Status != codec.StatusOK || len(all) != 1 {
		w.Fatalf("LOCK: %v %v", reply.Status, all)
	}
	fence, ok := all[0].(int64)
	if !ok {
		w.Fatalf("LOCK: %v", all[0])
	}
	return fence
}

// lock takes a lock that is free.
func (w *wire) lock(name, owner string, ttl int) int64 {
	w.Helper()
	return w.fence(w.sendLock(name, owner, ttl))
}

// waitingFor waits until so many requests wait for a lock.
func (w *wire) waitingFor(t *testing.T, name string, n int) {
	t.Helper()
	within(t, testTimeout, func() error {
		if got := w.ok(codec.OpLockHolders, name)[1]; got != int64(n) {
			return fmt.Errorf("%v requests wait for %q, want %d", got, name, n)
		}
		return nil
	})
}

// TestLock: a lock has one owner. Others get it when it is released or its lease ends, first come,
// first served, each with a higher fence.
func TestLock(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	first := w.lock("a", "one", leaseTime)
	if again := w.lock("a", "one", leaseTime); again != first {
		t.Errorf("the same owner has fence %d, then %d", first, again)
	}
	if got := w.ok(codec.OpLock, "a", ownerOf("two"), leaseTime, 0, 1); got[0] != nil {
		t.Errorf("a lock that is held is granted: %v", got)
	}
	if got := w.ok(codec.OpLock, "a", ownerOf("two"), leaseTime, 30, 1); got[0] != nil {
		t.Errorf("a wait that ends answers %v", got)
	}
	other := dial(t, srv)
	var ids []uint32
	for i := range 4 {
		ids = append(ids, other.sendLock("a", fmt.Sprint("waits", i), leaseTime))
		w.waitingFor(t, "a", i+1)
	}
	owner, last := "one", first
	for i, id := range ids {
		if got := w.ok(codec.OpUnlock, "a", ownerOf(owner)); got[0] != true {
			t.Fatalf("UNLOCK: %v", got)
		}
		fence := other.fence(id)
		if owner = fmt.Sprint("waits", i); fence <= last {
			t.Errorf("fence %d after %d", fence, last)
		}
		last = fence
	}
	if got := w.ok(codec.OpUnlock, "a", ownerOf("one")); got[0] != false {
		t.Errorf("UNLOCK of a lost lock: %v", got)
	}
	if got := w.ok(codec.OpRenewLock, "a", ownerOf(owner), 50); got[0] != last {
		t.Errorf("RENEW LOCK: %v", got)
	}
	start := time.Now()
	if fence := w.lock("a", "late", leaseTime); fence <= last || time.Since(start) < 40*time.Millisecond {
		t.Errorf("after %v the lock with a lease of 50 ms has fence %d", time.Since(start), fence)
	}
	e := w.fails(codec.StatusLockLost, codec.OpRenewLock, "a", ownerOf(owner), leaseTime)
	if got := decodeAll(t, e.Key); len(got) != 1 || got[0].(int64) <= last {
		t.Errorf("RENEW LOCK of a lost lock: %v, key %v", e, got)
	}
}

// TestSemaphore: n owners have a semaphore at once.
func TestSemaphore(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	for i := range 3 {
		if got := w.ok(codec.OpLock, "s", ownerOf(fmt.Sprint(i)), leaseTime, 0, 3); got[0] == nil {
			t.Fatalf("owner %d of 3 is refused", i)
		}
	}
	if got := w.ok(codec.OpLock, "s", ownerOf("fourth"), leaseTime, 0, 3); got[0] != nil {
		t.Errorf("a fourth of 3: %v", got)
	}
	w.write(w.request(codec.OpLock, "s", ownerOf("fourth"), leaseTime, nil, 3))
	id := w.id
	other := dial(t, srv)
	other.waitingFor(t, "s", 1)
	if holders := other.ok(codec.OpLockHolders, "s")[0].([]any); len(holders) != 3 {
		t.Errorf("holders: %v", holders)
	}
	other.ok(codec.OpUnlock, "s", ownerOf("1"))
	w.fence(id)
}

// TestLockPlaces: a place in a line is lost by CANCEL, by UNLOCK of its owner and with the
// connection. The next one gets the lock then.
func TestLockPlaces(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.lock("a", "holder", leaseTime)
	gone, other := dial(t, srv), dial(t, srv)
	gone.sendLock("a", "gone", leaseTime)
	w.waitingFor(t, "a", 1)
	canceled := other.sendLock("a", "canceled", leaseTime)
	w.waitingFor(t, "a", 2)
	unlocked := other.sendLock("a", "unlocked", leaseTime)
	w.waitingFor(t, "a", 3)
	last := other.sendLock("a", "last", leaseTime)
	w.waitingFor(t, "a", 4)
	_ = gone.conn.Close()
	w.waitingFor(t, "a", 3)
	if got := other.ok(codec.OpCancel, canceled); got[0] != true {
		t.Errorf("CANCEL of a request that waits: %v", got)
	}
	if reply := other.next(canceled); reply.Status != codec.StatusCanceled {
		t.Errorf("a canceled LOCK: %v", reply.Status)
	}
	if got := other.ok(codec.OpCancel, canceled); got[0] != false {
		t.Errorf("CANCEL of a request that is over: %v", got)
	}
	if got := w.ok(codec.OpUnlock, "a", ownerOf("unlocked")); got[0] != false {
		t.Errorf("UNLOCK of an owner that waits: %v", got)
	}
	if reply := other.next(unlocked); reply.Status != codec.StatusCanceled {
		t.Errorf("a LOCK whose owner has unlocked: %v", reply.Status)
	}
	w.waitingFor(t, "a", 1)
	w.ok(codec.OpUnlock, "a", ownerOf("holder"))
	other.fence(last)
}

// TestLockTable: the locks are one table of a kind of its own. Only requests about locks change it,
// but DROP, which releases all.
func TestLockTable(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.fails(codec.StatusValueError, codec.OpCreateDict, engine.LocksTable, false)
	first := w.lock("a", "one", leaseTime)
	if got := w.ok(codec.OpKind, engine.LocksTable); got[0] != "locks" {
		t.Errorf("KIND: %v", got)
	}
	if e := w.fails(codec.StatusWrongTableKind, codec.OpDictClear, engine.LocksTable); e.Have != "locks" {
		t.Errorf("DICT CLEAR of the locks: %v", e)
	}
	w.fails(codec.StatusWrongTableKind, codec.OpListClear, engine.LocksTable)
	w.fails(codec.StatusValueError, codec.OpRename, engine.LocksTable, "mine")
	w.ok(codec.OpCreateList, "l", false)
	w.fails(codec.StatusValueError, codec.OpRename, "l", engine.LocksTable)
	other := dial(t, srv)
	id := other.sendLock("a", "two", leaseTime)
	w.waitingFor(t, "a", 1)
	w.ok(codec.OpDrop, engine.LocksTable)
	if fence := other.fence(id); fence <= first {
		t.Errorf("fence %d after %d", fence, first)
	}
}

// TestLockArguments: what cannot be a lock is refused by name.
func TestLockArguments(t *testing.T) {
	t.Parallel()
	w := dial(t, startServer(t, nil))
	one := ownerOf("one")
	beyond := new(big.Int).Lsh(big.NewInt(1), 100)
	for name, args := range map[string][]any{
		"name is int":     {1, one, 1, 0, 1},
		"name is bytes":   {[]byte("a"), one, 1, 0, 1},
		"owner is str":    {"a", "one", 1, 0, 1},
		"ttl is bool":     {"a", one, true, 0, 1},
		"ttl is float":    {"a", one, 1.5, 0, 1},
		"wait is a float": {"a", one, 1, 0.5, 1},
		"n is None":       {"a", one, 1, 0, nil},
		"name is None":    {nil, one, 1, 0, 1},
		"owner is None":   {"a", nil, 1, 0, 1},
		"owner is int":    {"a", 5, 1, 0, 1},
		"ttl is None":     {"a", one, nil, 0, 1},
		"ttl is str":      {"a", one, "1", 0, 1},
		"ttl is NaN":      {"a", one, math.NaN(), 0, 1},
		"ttl is infinite": {"a", one, math.Inf(1), 0, 1},
		"wait is bool":    {"a", one, 1, false, 1},
		"wait is NaN":     {"a", one, 1, math.NaN(), 1},
		"n is bool":       {"a", one, 1, 0, true},
		"n is NaN":        {"a", one, 1, 0, math.NaN()},
	} {
		if reply := w.call(codec.OpLock, args...); reply.Status != codec.StatusTypeError {
			t.Errorf("%s: %v", name, reply.Status)
		}
	}
	for name, args := range map[string][]any{
		"empty name":    {"", one, 1, 0, 1},
		"long name":     {string(bytes.Repeat([]byte("n"), 1025)), one, 1, 0, 1},
		"short owner":   {"a", []byte("one"), 1, 0, 1},
		"ttl 0":         {"a", one, 0, 0, 1},
		"negative ttl":  {"a", one, -1, 0, 1},
		"large ttl":     {"a", one, int64(codec.MaxTimeToLive + 1), 0, 1},
		"negative wait": {"a", one, 1, -1, 1},
		"n is 0":        {"a", one, 1, 0, 0},
		"n is large":    {"a", one, 1, 0, 1025},
		"no owner":      {"a", []byte{}, 1, 0, 1},
		"long owner":    {"a", make([]byte, 17), 1, 0, 1},
		"ttl 2^64-1":    {"a", one, uint64(math.MaxUint64), 0, 1},
		"ttl 2^100":     {"a", one, beyond, 0, 1},
		"wait 2^64-1":   {"a", one, 1, uint64(math.MaxUint64), 1},
		"wait 2^100":    {"a", one, 1, beyond, 1},
		"wait -2^100":   {"a", one, 1, new(big.Int).Neg(beyond), 1},
		"n is 2^64-1":   {"a", one, 1, 0, uint64(math.MaxUint64)},
		"n is 2^100":    {"a", one, 1, 0, beyond},
		"n is negative": {"a", one, 1, 0, -1},
	} {
		if reply := w.call(codec.OpLock, args...); reply.Status != codec.StatusValueError {
			t.Errorf("%s: %v", name, reply.Status)
		}
	}
	for op, args := range map[codec.Opcode][]any{
		codec.OpUnlock: {"a", nil}, codec.OpRenewLock: {"a", one, math.NaN()}, codec.OpLockHolders: {nil},
	} {
		w.fails(codec.StatusTypeError, op, args...)
	}
	for op, args := range map[codec.Opcode][]any{
		codec.OpUnlock: {"", one}, codec.OpRenewLock: {"a", one, beyond}, codec.OpLockHolders: {""},
	} {
		w.fails(codec.StatusValueError, op, args...)
	}
	if got := w.ok(codec.OpLockHolders, "a"); len(got[0].([]any)) != 0 || got[1] != int64(0) {
		t.Errorf("what was refused holds or waits: %v", got)
	}
}

// TestPopWaits: LIST POP with a wait takes what comes, first come, first served, and gets
// IndexError when the wait ends. DROP ends all waits.
func TestPopWaits(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	w.ok(codec.OpCreateList, "l", false)
	w.fails(codec.StatusIndexError, codec.OpListPopLeft, "l", 0)
	w.fails(codec.StatusIndexError, codec.OpListPop, "l", -1, 20)
	w.fails(codec.StatusTypeError, codec.OpListPopLeft, "l", 1.5)
	w.fails(codec.StatusValueError, codec.OpListPop, "l", -1, -1)
	var ids []uint32
	for i := range 5 {
		other.write(other.request(codec.OpListPopLeft, "l", nil))
		ids = append(ids, other.id)
		within(t, testTimeout, func() error {
			if n := srv.waiting.Load(); n != int64(i+1) {
				return fmt.Errorf("%d requests wait", n)
			}
			return nil
		})
	}
	w.ok(codec.OpListExtend, "l", 1, 2)
	for i, id := range ids[:2] {
		if got := decodeAll(t, other.next(id).Body); got[0] != int64(i+1) {
			t.Errorf("request %d has %v", i, got)
		}
	}
	other.ok(codec.OpCancel, ids[2])
	other.next(ids[2])
	w.ok(codec.OpListAppend, "l", 3)
	if got := decodeAll(t, other.next(ids[3]).Body); got[0] != int64(3) {
		t.Errorf("the one behind one that was canceled has %v", got)
	}
	w.ok(codec.OpDrop, "l")
	if reply := other.next(ids[4]); reply.Status != codec.StatusNoSuchTable {
		t.Errorf("the list was dropped: %v", reply.Status)
	}
}
