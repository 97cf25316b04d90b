package loop

import (
	"math/rand/v2"
	"slices"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/shardmap"
)

// lifetimes are what requests of histories ask for, in milliseconds. The clock of a history jumps
// by hours and years.
var lifetimes = []int64{codec.KeepTimeToLive, codec.Persist, 1, 5, 50, 60_000, 3_600_000, codec.MaxTimeToLive}

// limitLives makes some requests on a table by which entries expire or are evicted.
func limitLives(w *wire, g *conformance.Operations, name string) error {
	allowed := []codec.Status{
		codec.StatusKeyError, codec.StatusTypeError, codec.StatusNoSuchTable, codec.StatusWrongTableKind,
		codec.StatusValueError, codec.StatusTableExists, codec.StatusOverloaded, codec.StatusBadArguments,
	}
	if g.Chance(3) {
		op := conformance.Pick(g, []codec.Opcode{codec.OpConfigure, codec.OpCreateDict})
		if _, err := w.do(op, []any{name, someOptions(g.Rand)}, allowed...); err != nil {
			return err
		}
	}
	var out []byte
	n := 1 + g.Rand.IntN(20)
	first := w.id + 1
	for range n {
		req := codec.Request{
			Op:    conformance.Pick(g, living),
			Flags: codec.FlagTimeToLive,
			TTL:   conformance.Pick(g, lifetimes),
		}
		args := []any{name, g.Rand.IntN(30)}
		switch req.Op {
		case codec.OpDictSet, codec.OpDictSetDefault, codec.OpDictIncrement:
			args = append(args, g.Rand.IntN(5))
		case codec.OpDictCompareAndSet:
			args = append(args, rawValue{codec.Absent}, 1)
		case codec.OpDictUpdate:
			args = append(args, 1, g.Rand.IntN(30), "a value of some bytes")
		case codec.OpDictTouch, codec.OpDictGet, codec.OpDictDeleteMany:
			req.Flags, req.TTL = 0, 0
		}
		w.id++
		req.ID, req.Args = w.id, encodeArgs(w, args...)
		out = codec.AppendRequest(out, &req)
	}
	if _, err := w.conn.Write(out); err != nil {
		return err
	}
	replies, err := w.replies(first, n)
	for _, reply := range replies {
		if e, _ := codec.ParseErrorBody(
			reply.Status,
			reply.Body,
		); err == nil && reply.Status != codec.StatusOK &&
			!slices.Contains(allowed, reply.Status) {
			err = e
		}
	}
	return err
}

var living = []codec.Opcode{
	codec.OpDictSet, codec.OpDictSet, codec.OpDictSetDefault, codec.OpDictUpdate, codec.OpDictIncrement,
	codec.OpDictCompareAndSet, codec.OpDictExpire, codec.OpDictTouch, codec.OpDictGet, codec.OpDictDeleteMany,
}

// someOptions returns random options of a dict.
func someOptions(rng *rand.Rand) map[any]any {
	options := map[any]any{}
	for _, o := range []struct {
		name   string
		values []any
	}{
		{"ttl", []any{nil, 1, 20, 60_000, 3_600_000}},
		{"idle", []any{nil, 10, 60_000, 3_600_000}},
		{"max_entries", []any{nil, 1, 5, 20}},
		{"max_bytes", []any{nil, 500, 2000}},
		{"policy", []any{nil, "none", "s3fifo", "ttl"}},
	} {
		if rng.IntN(3) == 0 {
			options[o.name] = o.values[rng.IntN(len(o.values))]
		}
	}
	return options
}

// addRemovals counts what the server removed by itself from the tables that are there.
func addRemovals(to *shardmap.Removals, store *shardmap.Store) {
	view := store.View()
	defer view.Close()
	for name := range view.Tables() {
		if table, ok := store.Lookup(&shardmap.Call{}, []byte(name)); ok && table.Kind() == shardmap.KindDict {
			r := table.Dict().Removals()
			to.Expired += r.Expired
			to.Idle += r.Idle
			to.Evicted += r.Evicted
			to.Refused += r.Refused
		}
	}
}
