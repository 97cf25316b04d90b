package loop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/shardmap"
)

// TestReplay: connections do everything at once on a few tables, which come and go, with long
// requests, conditions and large values. The replay of the log on an empty store gives the same
// store.
func TestReplay(t *testing.T) {
	t.Parallel()
	clients, batches := 6, 50
	switch {
	case conformance.Long():
		clients, batches = 12, 1000
	case testing.Short(), raceEnabled:
		batches = 25
	}
	seed := conformance.Seed(t)
	var rec conformance.Recording
	srv := startServer(t, func(cfg *Config) { cfg.NewLog = rec.NewLog })
	families := conformance.StartOracle(t, seed).Families
	names := []string{"a", "b", "x", "y"}
	inParallel(t, srv, clients, func(w *wire, i int) error {
		g := conformance.NewOperations(w, rand.New(rand.NewPCG(seed, uint64(i))), families)
		everyChange(w, i)
		for range batches {
			ops := make([]conformance.Operation, 25)
			for j := range ops {
				ops[j] = g.Roughly(conformance.Pick(g, names))
			}
			for j, reply := range pipelined(w, ops) {
				if reply.Status >= codec.StatusBadFrame {
					e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
					return fmt.Errorf("%v: %w", ops[j], e)
				}
			}
			conditions(w, g, conformance.Pick(g, names))
			if g.Chance(10) {
				large := strings.Repeat("x", shardmap.InlineBytes+g.Rand.IntN(1000))
				for _, op := range []codec.Opcode{codec.OpDictSet, codec.OpDictSetDefault, codec.OpDictGet, codec.OpDictPop} {
					args := []any{conformance.Pick(g, names), g.Rand.IntN(3)}
					if op == codec.OpDictSet || op == codec.OpDictSetDefault {
						args = append(args, large)
					}
					if _, err := w.do(
						op,
						args,
						codec.StatusKeyError,
						codec.StatusNoSuchTable,
						codec.StatusWrongTableKind,
					); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if err := srv.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	operations := rec.Operations(t, srv.store.Clock())
	used := make(map[codec.Opcode]int)
	for _, r := range operations {
		if len(r.Request) == 0 {
			t.Fatalf("LSN %d was assigned to no request", r.LSN)
		}
		used[codec.Opcode(r.Request[0])]++
	}
	t.Logf("%d operations", len(operations))
	for op, command := range engine.Protocol() {
		o := codec.Opcode(op)
		if wanted := command.Mutates && !slices.Contains(loggedAsEffects, o); wanted != (used[o] > 0) {
			t.Errorf("%v was recorded %d times", o, used[o])
		}
	}
	conformance.SameText(
		t,
		conformance.StoreText(conformance.Replayed(t, operations)),
		conformance.StoreText(srv.store),
	)
}

// everyChange makes a change by each opcode that makes one, on its own tables: by those that it
// does not name as conformance.Example has it.
func everyChange(w *wire, i int) {
	d, l := fmt.Sprintf("dict %d", i), fmt.Sprintf("list %d", i)
	made := map[codec.Opcode]bool{codec.OpDictClear: true, codec.OpListClear: true, codec.OpDrop: true}
	change := func(op codec.Opcode, args ...any) {
		made[op] = true
		w.ok(op, args...)
	}
	change(codec.OpCreateDict, d+"?", false, "a", 1, "b", 2, "c", 3, "d", 4)
	change(codec.OpRename, d+"?", d)
	change(codec.OpDictSet, d, "e", 5)
	change(codec.OpDictSetDefault, d, "f", 6)
	change(codec.OpDictUpdate, d, "a", 7, "g", 8)
	change(codec.OpDictIncrement, d, "a", 9)
	change(codec.OpDictCompareAndSet, d, "a", 16, 10)
	change(codec.OpDictDelete, d, "b")
	change(codec.OpDictDeleteMany, d, "g", "nowhere", "f", "g")
	change(codec.OpDictPop, d, "c")
	change(codec.OpDictPopItem, d)
	change(codec.OpConfigure, d, map[any]any{"max_entries": 1000})
	made[codec.OpDictExpire] = true
	w.doLiving(codec.OpDictExpire, codec.Persist, d, "a")
	w.doLiving(codec.OpDictSet, 1, d, "brief", 1)
	everyEffect(w, d+"!", made)
	everyQueue(w, l+"!", made)
	everyLock(w, l, d, made)
	change(codec.OpCreateList, l, false, 3, 1, 2)
	change(codec.OpListAppend, l, 4)
	change(codec.OpListAppendLeft, l, 5)
	change(codec.OpListExtend, l, 6, 7, 8, 9)
	change(codec.OpListInsert, l, 1, 10)
	change(codec.OpListSet, l, 0, 11)
	change(codec.OpListDelete, l, -1)
	change(codec.OpListSetSlice, l, 0, 2, nil, 12, 13, 14)
	change(codec.OpListDeleteSlice, l, 0, 1, nil)
	change(codec.OpListPop, l)
	change(codec.OpListPopLeft, l)
	change(codec.OpListRemove, l, 14)
	change(codec.OpListReverse, l)
	change(codec.OpListSort, l, nil, true)
	for op, command := range engine.Protocol() {
		if op := codec.Opcode(op); command.Mutates && !made[op] {
			w.ok(codec.OpDictSet, d, "k", 1) // what conformance.Example names
			w.ok(codec.OpListInsert, l, 0, 1)
			table := map[engine.TableKind]any{engine.DictTable: d, engine.ListTable: l}[command.Kind]
			w.ok(op, append([]any{table}, conformance.Example(op)...)...)
		}
	}
	for op, name := range map[codec.Opcode]string{codec.OpDictClear: d, codec.OpListClear: l} {
		if i%2 == 0 {
			w.ok(op, name)
		}
		if i%4 == 0 {
			w.ok(codec.OpDrop, name)
		}
	}
}

// loggedAsEffects are the requests that are logged as what they did, not as they came.
var loggedAsEffects = []codec.Opcode{
	codec.OpLock, codec.OpUnlock, codec.OpRenewLock, codec.OpDictGetOrCompute, codec.OpRenewCompute, codec.OpComputed,
}

// everyLock takes, renews and releases a lock, and the lease to compute a key of a dict.
func everyLock(w *wire, name, d string, made map[codec.Opcode]bool) {
	w.ok(codec.OpDictGetOrCompute, d, name, claimOf("c"), 60_000, 0, 0)
	w.ok(codec.OpRenewCompute, d, name, claimOf("c"), 60_000)
	w.ok(codec.OpComputed, d, name, claimOf("c"))
	w.ok(codec.OpLock, name, claimOf("a"), 60_000, 0, 1)
	w.ok(codec.OpRenewLock, name, claimOf("a"), 70_000)
	w.ok(codec.OpLock, name, claimOf("b"), 60_000, 0, 2)
	w.ok(codec.OpUnlock, name, claimOf("a"))
	for _, op := range []codec.Opcode{
		codec.OpDictGetOrCompute, codec.OpRenewCompute, codec.OpComputed,
		codec.OpLock, codec.OpUnlock, codec.OpRenewLock, codec.OpCreateLocks, codec.OpLockGrant, codec.OpLockRelease,
	} {
		made[op] = true
	}
}

// everyEffect makes the server remove entries by itself from a dict that lives by a default.
func everyEffect(w *wire, d string, made map[codec.Opcode]bool) {
	w.ok(codec.OpCreateDict, d, map[any]any{"ttl": 1}, "a", 1, "b", 2)
	for len(w.ok(codec.OpDictKeys, d)) > 0 || w.ok(codec.OpDictLen, d)[0] != int64(0) {
		time.Sleep(time.Millisecond)
	}
	w.ok(codec.OpConfigure, d, map[any]any{"ttl": 1_000_000})
	w.ok(codec.OpDictSet, d, "a", 1)
	w.ok(codec.OpDictTouch, d, "a")
	made[codec.OpDictTouch], made[codec.OpDictForget], made[codec.OpDictHorizon] = true, true, true
}

// everyQueue uses a list as a queue, whose items return by themselves, some to its dead letters.
func everyQueue(w *wire, l string, made map[codec.Opcode]bool) {
	claim := byte(0)
	take := func(lease int) any {
		claim++
		return w.ok(codec.OpListTake, l, claimOf(string(claim)), lease, nil)[0]
	}
	w.ok(codec.OpCreateList, l, map[any]any{"max_deliveries": 2, "dead_letter": l + "dead"}, 1, 2, 3, 4)
	w.ok(codec.OpListPut, l, 5, 1)
	w.ok(codec.OpListAck, l, take(60_000))
	w.ok(codec.OpListNack, l, take(60_000), 0)
	w.ok(codec.OpListNack, l, take(60_000), nil)
	w.ok(codec.OpListNack, l, take(60_000), 0) // a dead letter
	receipt := take(60_000)
	w.ok(codec.OpListExtendLease, l, receipt, 1)
	w.ok(codec.OpListNack, l, take(60_000), 1)
	for w.ok(codec.OpListLen, l)[0] != int64(3) {
		time.Sleep(time.Millisecond)
	}
	take(1)
	for w.ok(codec.OpListLen, l+"dead")[0] != int64(2) {
		time.Sleep(time.Millisecond)
	}
	for _, op := range []codec.Opcode{
		codec.OpListPut, codec.OpListTake, codec.OpListAck, codec.OpListNack, codec.OpListExtendLease, codec.OpListReturn,
	} {
		made[op] = true
	}
}

// conditions makes some requests that depend on versions.
func conditions(w *wire, g *conformance.Operations, name string) {
	for range 5 {
		w.id++
		req := codec.Request{
			ID:    w.id,
			Op:    codec.OpDictGet,
			Flags: codec.FlagWantVersion,
			Args:  encodeArgs(w, name, g.Rand.IntN(4)),
		}
		w.write(codec.AppendRequest(nil, &req))
		reply, err := w.reply()
		if err != nil {
			w.Fatal(err)
		}
		w.id++
		req = codec.Request{
			ID:        w.id,
			Op:        codec.OpDictSet,
			Flags:     codec.FlagIfVersion,
			IfVersion: conformance.Pick(g, []uint64{reply.Version, reply.Version, codec.AnyVersion}),
			Args:      encodeArgs(w, name, g.Rand.IntN(4), 1),
		}
		w.write(codec.AppendRequest(nil, &req))
		if _, err = w.reply(); err != nil {
			w.Fatal(err)
		}
	}
}
