package loop

import (
	"fmt"
	"strconv"
	"testing"

	"cyberdb-fast/codec"
)

// sendCompute sends a DICT GET OR COMPUTE that waits as long as its connection, and returns its id.
func (w *wire) sendCompute(key any, owner string, lease, stale int) uint32 {
	w.Helper()
	w.write(w.request(codec.OpDictGetOrCompute, "d", key, ownerOf(owner), lease, stale, nil))
	return w.id
}

// waiters waits until so many requests wait.
func waiters(t *testing.T, srv *Server, n int64) {
	t.Helper()
	within(t, testTimeout, func() error {
		if got := srv.waiting.Load(); got != n {
			return fmt.Errorf("%d requests wait, want %d", got, n)
		}
		return nil
	})
}

// TestComputeOnce: of many that ask for a key, one computes it. The others have its value then. If
// it computes none, or its lease ends, the next one computes.
func TestComputeOnce(t *testing.T) {
	t.Parallel()
	const many = 2000
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	got := w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("one"), leaseTime, 0, nil)
	if got[0] != int64(3) {
		t.Fatalf("the first one is answered %v", got)
	}
	again := w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("one"), leaseTime, 0, nil)
	if fmt.Sprint(again) != fmt.Sprint(got) {
		t.Errorf("the same owner has %v, then %v", got, again)
	}
	if got := w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("two"), leaseTime, 0, 10); got[0] != int64(4) {
		t.Errorf("a wait that ends is answered %v", got)
	}
	go func() {
		for i := range many {
			w.sendCompute("k", fmt.Sprint(i), leaseTime, 0)
		}
	}()
	waiters(t, srv, many)
	if got := other.ok(codec.OpComputed, "d", "k", ownerOf("one")); got[0] != true {
		t.Errorf("COMPUTED: %v", got)
	}
	first, err := w.reply()
	if got := decodeAll(t, first.Body); err != nil || got[0] != int64(3) {
		t.Fatalf("after a failure the next one is answered %v, %v", got, err)
	}
	waiters(t, srv, many-1)
	other.ok(codec.OpDictSet, "d", "k", "made")
	other.ok(codec.OpComputed, "d", "k", ownerOf("0"))
	for range many - 1 {
		reply, err := w.reply()
		if got := decodeAll(t, reply.Body); err != nil || len(got) != 2 || got[0] != int64(0) || got[1] != "made" {
			t.Fatalf("one that has waited is answered %v, %v", got, err)
		}
	}
}

// TestComputeAgain: a value that will expire soon is computed anew by one; the others have the
// stale one meanwhile.
func TestComputeAgain(t *testing.T) {
	t.Parallel()
	w := dial(t, startServer(t, nil))
	w.ok(codec.OpCreateDict, "d", false)
	w.doLiving(codec.OpDictSet, 60_000, "d", 1, "old")
	ask := func(owner string, stale int) []any {
		return w.ok(codec.OpDictGetOrCompute, "d", 1.0, ownerOf(owner), leaseTime, stale, nil)
	}
	if got := ask("one", 0); fmt.Sprint(got) != "[0 old]" {
		t.Errorf("a fresh value: %v", got)
	}
	got := ask("one", 90_000)
	if len(got) != 3 || got[0] != int64(2) || got[2] != "old" {
		t.Fatalf("the first one after it is stale: %v", got)
	}
	if got := ask("two", 90_000); fmt.Sprint(got) != "[1 old]" {
		t.Errorf("another one: %v", got)
	}
	fence := &codec.Fence{Number: uint64(got[1].(int64)), Table: []byte("d"), Key: encodeArgs(t, 1)}
	set := func(val any) codec.Status {
		w.id++
		w.write(codec.AppendRequest(nil, &codec.Request{
			ID: w.id, Op: codec.OpDictSet, Flags: codec.FlagExtensions,
			Extensions: codec.AppendFence(nil, fence), Args: encodeArgs(t, "d", 1, val),
		}))
		return w.next(w.id).Status
	}
	if status := set("new"); status != codec.StatusOK {
		t.Errorf("a value with the present fence: %v", status)
	}
	w.ok(codec.OpComputed, "d", 1, ownerOf("one"))
	if status := set("late"); status != codec.StatusLockLost {
		t.Errorf("a value after the lease: %v", status)
	}
	if got := ask("two", 90_000); fmt.Sprint(got) != "[0 new]" {
		t.Errorf("after it was computed: %v", got)
	}
	w.fails(codec.StatusLockLost, codec.OpRenewCompute, "d", 1, ownerOf("one"), leaseTime)
	nan := rawValue{0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0}
	w.fails(codec.StatusValueError, codec.OpDictGetOrCompute, "d", nan, ownerOf("one"), leaseTime, 0, nil)
	w.fails(codec.StatusTypeError, codec.OpDictGetOrCompute, "d", []any{}, ownerOf("one"), leaseTime, 0, nil)
	w.fails(codec.StatusNoSuchTable, codec.OpDictGetOrCompute, "none", 1, ownerOf("one"), leaseTime, 0, nil)
}

// TestComputeLeaseEnds: when the lease of the one that computes ends, the next one gets it.
func TestComputeLeaseEnds(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	first := w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("one"), 50, 0, nil)
	second := decodeAll(t, w.next(w.sendCompute("k", "two", leaseTime, 0)).Body)
	if second[0] != int64(3) || second[1].(int64) <= first[1].(int64) {
		t.Errorf("first %v, then %v", first, second)
	}
	id := w.sendCompute("k", "three", leaseTime, 0)
	waiters(t, srv, 1)
	dial(t, srv).ok(codec.OpDrop, "d")
	if reply := w.next(id); reply.Status != codec.StatusNoSuchTable {
		t.Errorf("the table was dropped: %v", reply.Status)
	}
}

// TestComputeFails: if a value could not be computed, those that wait get the lease one by one, in
// the order in which they came.
func TestComputeFails(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	fence := w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("0"), leaseTime, 0, nil)[1].(int64)
	const many = 100
	ids := make([]uint32, many)
	for i := range ids {
		ids[i] = w.sendCompute("k", strconv.Itoa(i+1), leaseTime, 0)
	}
	waiters(t, srv, many)
	other := dial(t, srv)
	for i, id := range ids {
		other.ok(codec.OpComputed, "d", "k", ownerOf(strconv.Itoa(i)))
		got := decodeAll(t, w.next(id).Body)
		if len(got) != 2 || got[0] != int64(3) || got[1].(int64) <= fence {
			t.Fatalf("number %d in the line, after fence %d, is answered %v", i+1, fence, got)
		}
		fence = got[1].(int64)
		waiters(t, srv, int64(many-i-1))
	}
}
