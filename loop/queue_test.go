package loop

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// take leases an item that is there.
func (w *wire) take(list, claim string, lease int) (receipt, deliveries int64, val any) {
	w.Helper()
	all := w.ok(codec.OpListTake, list, claimOf(claim), lease, nil)
	if len(all) != 3 {
		w.Fatalf("LIST TAKE: %v", all)
	}
	return all[0].(int64), all[1].(int64), all[2]
}

// until asks again until the answer is this one.
func (w *wire) until(want []any, op codec.Opcode, args ...any) {
	w.Helper()
	var got []any
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if got = w.ok(op, args...); slices.Equal(got, want) {
			return
		}
	}
	w.Fatalf("%v: %v, want %v", op, got, want)
}

// TestQueue: an item is delivered once per lease; it returns to the front when its lease ends or it
// is given back, with the number of its deliveries; requests of lists do not see it meanwhile.
func TestQueue(t *testing.T) {
	t.Parallel()
	w := dial(t, startServer(t, nil))
	w.ok(codec.OpCreateList, "q", false, "a", "b", "c")
	receipt, deliveries, val := w.take("q", "1", leaseTime)
	if deliveries != 1 || val != "a" {
		t.Errorf("%v, delivered %d times", val, deliveries)
	}
	if again, deliveries, val := w.take("q", "1", leaseTime); again != receipt || deliveries != 1 || val != "a" {
		t.Errorf("the same claim got %v with receipt %d, delivered %d times", val, again, deliveries)
	}
	w.ok(codec.OpListPut, "q", "later", leaseTime)
	if held := w.ok(codec.OpListHeld, "q"); !slices.Equal(held, []any{int64(1), int64(1)}) {
		t.Errorf("held: %v", held)
	}
	if all := w.ok(codec.OpListAll, "q"); !slices.Equal(all, []any{"b", "c"}) {
		t.Errorf("the list is %v", all)
	}
	w.ok(codec.OpListNack, "q", receipt, 0)
	receipt, deliveries, val = w.take("q", "2", 20)
	if deliveries != 2 || val != "a" {
		t.Errorf("%v, delivered %d times", val, deliveries)
	}
	w.until([]any{"a", "b", "c"}, codec.OpListAll, "q") // the lease has ended
	for _, op := range []codec.Opcode{codec.OpListAck, codec.OpListNack, codec.OpListExtendLease} {
		args := []any{"q", receipt, 1}
		if op == codec.OpListAck {
			args = args[:2]
		}
		if e := w.fails(codec.StatusLeaseExpired, op, args...); len(e.Key) == 0 {
			t.Errorf("%v does not name the receipt: %+v", op, e)
		}
	}
	receipt, deliveries, _ = w.take("q", "3", leaseTime)
	if deliveries != 3 {
		t.Errorf("delivered %d times", deliveries)
	}
	w.ok(codec.OpCreateList, "other", false)
	w.fails(codec.StatusLeaseExpired, codec.OpListAck, "other", receipt)
	w.ok(codec.OpListAck, "q", receipt)
	w.fails(codec.StatusLeaseExpired, codec.OpListAck, "q", receipt)
	receipt, _, _ = w.take("q", "4", leaseTime)
	w.ok(codec.OpListNack, "q", receipt, nil)
	if _, deliveries, val := w.take("q", "5", leaseTime); deliveries != 1 || val != "b" {
		t.Errorf("%v, delivered %d times, the first one does not count", val, deliveries)
	}
}

// TestQueueRefuses: bad arguments get an error that names the argument.
func TestQueueRefuses(t *testing.T) {
	t.Parallel()
	w := dial(t, startServer(t, nil))
	w.ok(codec.OpCreateList, "q", false, "a")
	w.ok(codec.OpCreateDict, "d", false)
	const typ, val = codec.StatusTypeError, codec.StatusValueError
	for _, c := range []struct {
		op     codec.Opcode
		status codec.Status
		args   []any
	}{
		{codec.OpListTake, typ, []any{"q", "0123456789abcdef", 1, 0}},
		{codec.OpListTake, val, []any{"q", []byte("short"), 1, 0}},
		{codec.OpListTake, val, []any{"q", claimOf("a"), 0, 0}},
		{codec.OpListTake, val, []any{"q", claimOf("a"), -1, 0}},
		{codec.OpListTake, typ, []any{"q", claimOf("a"), 1.5, 0}},
		{codec.OpListTake, typ, []any{"q", claimOf("a"), true, 0}},
		{codec.OpListTake, val, []any{"q", claimOf("a"), 1 << 50, 0}},
		{codec.OpListTake, val, []any{"q", claimOf("a"), 1, -1}},
		{codec.OpListTake, typ, []any{"q", claimOf("a"), 1, "x"}},
		{codec.OpListPut, val, []any{"q", 1, -1}},
		{codec.OpListPut, typ, []any{"q", 1, nil}},
		{codec.OpListAck, typ, []any{"q", "x"}},
		{codec.OpListAck, codec.StatusLeaseExpired, []any{"q", -1}},
		{codec.OpListAck, codec.StatusLeaseExpired, []any{"q", 1 << 60}},
		{codec.OpListNack, val, []any{"q", 1, -1}},
		{codec.OpListTake, codec.StatusWrongTableKind, []any{"d", claimOf("a"), 1, 0}},
		{codec.OpListTake, codec.StatusNoSuchTable, []any{"none", claimOf("a"), 1, 0}},
		{codec.OpConfigure, val, []any{"q", map[any]any{"max_deliveries": 3}}},
		{codec.OpConfigure, val, []any{"q", map[any]any{"max_deliveries": 0, "dead_letter": "x"}}},
		{codec.OpConfigure, val, []any{"q", map[any]any{"max_deliveries": 3, "dead_letter": "q"}}},
		{codec.OpConfigure, typ, []any{"q", map[any]any{"max_deliveries": 3, "dead_letter": 5}}},
		{codec.OpConfigure, val, []any{"q", map[any]any{"max_deliveries": 3, "dead_letter": engine.LocksTable}}},
		{codec.OpConfigure, val, []any{"q", map[any]any{"ttl": 3}}},
		{codec.OpListReturn, codec.StatusUnsupported, []any{"q", nil, 1, 1}},
	} {
		if e := w.fails(c.status, c.op, c.args...); e.Message == "" {
			t.Errorf("%v %v: %+v", c.op, c.args, e)
		}
	}
	if held := w.ok(codec.OpListHeld, "q"); !slices.Equal(held, []any{int64(0), int64(0)}) {
		t.Errorf("what was refused holds items: %v", held)
	}
}

// TestTakersWait: takers that wait are served in the order in which they came, by what is put,
// given back, or returns by itself.
func TestTakersWait(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "q", false)
	var takers []*wire
	for i := range 4 {
		taker := dial(t, srv)
		taker.write(taker.request(codec.OpListTake, "q", claimOf(fmt.Sprint(i)), leaseTime, nil))
		takers = append(takers, taker)
		w.until([]any{true}, codec.OpExists, "q")
		time.Sleep(20 * time.Millisecond) // so that they come one after another
	}
	reply := func(i int, want string) (receipt any) {
		t.Helper()
		all := decodeAll(t, takers[i].next(takers[i].id).Body)
		if len(all) != 3 || all[2] != want {
			t.Fatalf("taker %d: %v, want %v", i, all, want)
		}
		return all[0]
	}
	w.ok(codec.OpListAppend, "q", "a")
	receipt := reply(0, "a")
	w.ok(codec.OpListPut, "q", "b", 30)
	reply(1, "b")
	w.ok(codec.OpListNack, "q", receipt, 0)
	receipt = reply(2, "a")
	w.ok(codec.OpListExtendLease, "q", receipt, 30)
	reply(3, "a")
	if all := w.ok(codec.OpListTake, "q", claimOf("w"), 1000, 30); len(all) != 1 || all[0] != nil {
		t.Errorf("a wait that ended: %v", all)
	}
}

// TestTakeNotSent: an item whose reply could not be sent, because its client had gone, is given
// back at once, and that delivery does not count.
func TestTakeNotSent(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "q", false, make([]byte, 16<<20))
	silent := dial(t, srv)
	silent.write(silent.request(codec.OpListTake, "q", claimOf("silent"), leaseTime, nil))
	w.until([]any{int64(1), int64(0)}, codec.OpListHeld, "q")
	_ = silent.conn.Close()
	w.until([]any{int64(0), int64(0)}, codec.OpListHeld, "q")
	if _, deliveries, _ := w.take("q", "other", leaseTime); deliveries != 1 {
		t.Errorf("delivered %d times", deliveries)
	}
}

// TestDeadLetters: an item that was delivered too often goes to the dead letters, whose list is
// made if need be; while the name is a dict's, it returns.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w := dial(t, startServer(t, nil))
	w.ok(codec.OpCreateList, "q", map[any]any{"max_deliveries": 1, "dead_letter": "dead"}, "a", "b", "c")
	receipt, _, _ := w.take("q", "1", leaseTime)
	w.ok(codec.OpListNack, "q", receipt, 1000)
	w.take("q", "2", 1)
	w.until([]any{"a", "b"}, codec.OpListAll, "dead")
	w.ok(codec.OpDrop, "dead")
	w.ok(codec.OpCreateDict, "dead", false)
	w.take("q", "3", 1)
	w.until([]any{"c"}, codec.OpListAll, "q")
	w.ok(codec.OpDrop, "dead")
	if _, deliveries, val := w.take("q", "4", 1); deliveries != 2 || val != "c" {
		t.Errorf("%v, delivered %d times", val, deliveries)
	}
	w.until([]any{int64(0), int64(0)}, codec.OpListHeld, "q")
	w.until([]any{"c"}, codec.OpListAll, "dead")
}

// TestQueueAfterRestart: leases, delays, deliveries and options go on over a restart, from the
// journal and from a file.
func TestQueueAfterRestart(t *testing.T) {
	t.Parallel()
	disk := newDisk()
	srv := keptServer(t, disk, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "q", map[any]any{"max_deliveries": 9, "dead_letter": "dead"}, "a", "b", "c")
	back, _, _ := w.take("q", "0", leaseTime)
	kept, _, _ := w.take("q", "1", leaseTime)
	w.ok(codec.OpListNack, "q", back, 0)
	w.ok(codec.OpListPut, "q", "later", leaseTime)
	restart := func() {
		t.Helper()
		if err := srv.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		srv = keptServer(t, disk, nil)
		w = dial(t, srv)
	}
	for _, save := range []bool{false, true} {
		if save {
			w.ok(codec.OpSave)
		}
		want := w.digest()
		restart()
		if got := w.digest(); got.Digest != want.Digest {
			t.Errorf("restarted: %+v, was %+v", got, want)
		}
	}
	w.take("q", "2", 500) // a
	restart()
	w.until([]any{"a", "c"}, codec.OpListAll, "q") // the lease of a has ended
	w.ok(codec.OpListAck, "q", kept)
	if _, deliveries, val := w.take("q", "3", leaseTime); deliveries != 3 || val != "a" {
		t.Errorf("%v, delivered %d times", val, deliveries)
	}
	if held := w.ok(codec.OpListHeld, "q"); !slices.Equal(held, []any{int64(1), int64(1)}) {
		t.Errorf("held: %v", held)
	}
	if all := w.ok(codec.OpOptions, "q"); fmt.Sprint(all) != "[[{max_deliveries 9} {dead_letter dead}]]" {
		t.Errorf("options %v", all)
	}
}
