package loop

import (
	"slices"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// doLiving is call for a request with a time to live, in milliseconds.
func (w *wire) doLiving(op codec.Opcode, ttl int64, args ...any) codec.Reply {
	w.Helper()
	w.id++
	w.write(codec.AppendRequest(nil, &codec.Request{
		ID: w.id, Op: op, Flags: codec.FlagTimeToLive, TTL: ttl, Args: encodeArgs(w, args...),
	}))
	reply, err := w.reply()
	if err != nil {
		w.Fatal(err)
	}
	if reply.Status != codec.StatusOK {
		e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
		w.Fatalf("%v%v: %v", op, args, e)
	}
	return reply
}

// TestExpiredIsAbsent: once its deadline has passed, an entry is absent in every request, on the
// event loop that has seen it and on the others, and after a restart.
func TestExpiredIsAbsent(t *testing.T) {
	t.Parallel()
	clock := &wallClock{}
	srv := startLimited(t, func(cfg *Config) { cfg.EventLoops = 3 }, clock.limit)
	w, other := dial(t, srv), dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	fill := func() {
		w.ok(codec.OpDictClear, "d")
		for _, key := range []string{"a", "b", "c"} {
			w.doLiving(codec.OpDictSet, 60_000, "d", key, 1)
		}
		w.ok(codec.OpDictSet, "d", "stays", 2)
		clock.jump(59 * time.Second)
		if got := w.ok(codec.OpDictGet, "d", "a"); got[0] != int64(1) {
			t.Fatalf("before its deadline: %v", got)
		}
		clock.jump(2 * time.Second)
	}
	fill()
	for _, w := range []*wire{w, other} {
		w.fails(codec.StatusKeyError, codec.OpDictGet, "d", "a")
		w.fails(codec.StatusKeyError, codec.OpDictTTL, "d", "a")
		w.fails(codec.StatusKeyError, codec.OpDictTouch, "d", "a")
		w.fails(codec.StatusKeyError, codec.OpDictDelete, "d", "a")
		w.fails(codec.StatusKeyError, codec.OpDictPop, "d", "b")
		if got := w.ok(codec.OpDictContains, "d", "c"); got[0] != false {
			t.Fatalf("contains: %v", got)
		}
		if got := w.ok(codec.OpDictItems, "d"); len(got) != 2 {
			t.Fatalf("items: %v", got)
		}
		if got := w.ok(codec.OpDictScan, "d", 0, 10); len(got) != 3 {
			t.Fatalf("scan: %v", got)
		}
	}
	fill()
	if got := w.ok(codec.OpDictDeleteMany, "d", "a", "stays", "b"); !slices.Equal(got, []any{false, true, false}) {
		t.Fatalf("delete many: %v", got)
	}
	fill()
	if got := w.ok(codec.OpDictSetDefault, "d", "a", 7); got[0] != int64(7) {
		t.Fatalf("setdefault: %v", got)
	}
	w.ok(codec.OpDictSet, "d", "b", 8)
	if got := w.ok(codec.OpDictKeys, "d"); len(got) != 3 || got[1] != "a" || got[2] != "b" {
		t.Fatalf("keys that were set again: %v", got)
	}
	fill()
	if got := w.ok(codec.OpDictIncrement, "d", "c", 5); got[0] != int64(5) {
		t.Fatalf("increment: %v", got)
	}
	fill()
	if got := w.ok(codec.OpDictPopItem, "d"); got[0] != "stays" {
		t.Fatalf("popitem: %v", got)
	}
	w.fails(codec.StatusKeyError, codec.OpDictPopItem, "d")
	fill()
	deadline := time.Now().Add(10 * time.Second)
	for srv.store.Stats().Tables > 0 && w.ok(codec.OpDictLen, "d")[0] != int64(1) {
		if time.Now().After(deadline) {
			t.Fatalf("length %v", w.ok(codec.OpDictLen, "d"))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestDefaultTimeToLive: entries live by their table's default, counted from their last write.
func TestDefaultTimeToLive(t *testing.T) {
	t.Parallel()
	clock := &wallClock{}
	srv := startLimited(t, nil, clock.limit)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", map[any]any{"ttl": int64(60_000), "exist_ok": true}, "a", 1, "b", 2, "c", 3, "e", 4)
	time.Sleep(200 * time.Millisecond) // the server notes when entries were written
	clock.jump(40 * time.Second)
	w.ok(codec.OpDictSet, "d", "b", 2)
	w.doLiving(codec.OpDictExpire, codec.Persist, "d", "c")
	w.ok(codec.OpDictTouch, "d", "e")
	if left := w.ok(codec.OpDictTTL, "d", "a")[0].(int64); left > 20_000 || left < 19_000 {
		t.Fatalf("a lives %d ms", left)
	}
	if left := w.ok(codec.OpDictTTL, "d", "c")[0]; left != nil {
		t.Fatalf("c lives %v ms", left)
	}
	time.Sleep(200 * time.Millisecond)
	clock.jump(21 * time.Second)
	time.Sleep(200 * time.Millisecond)
	if got := w.ok(codec.OpDictKeys, "d"); len(got) != 3 || got[0] != "b" || got[1] != "c" || got[2] != "e" {
		t.Fatalf("keys: %v", got)
	}
	if got := w.ok(codec.OpDictLen, "d"); got[0] != int64(3) {
		t.Fatalf("length: %v", got)
	}
	clock.jump(60 * time.Second)
	time.Sleep(200 * time.Millisecond)
	if got := w.ok(codec.OpDictKeys, "d"); len(got) != 1 || got[0] != "c" {
		t.Fatalf("keys: %v", got)
	}
}
