package loop

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/engine/conformance"
)

// inParallel calls f for n connections at once.
func inParallel(t *testing.T, srv *Server, n int, f func(w *wire, i int) error) {
	t.Helper()
	failures := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		w := dial(t, srv)
		all.Go(func() { failures[i] = f(w, i) })
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Error(err)
	}
	if n := srv.Info().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

// do makes one request; statuses other than OK and the given ones are errors.
func (w *wire) do(op codec.Opcode, args []any, allowed ...codec.Status) ([]any, error) {
	if _, err := w.conn.Write(w.request(op, args...)); err != nil {
		return nil, err
	}
	reply, err := w.reply()
	if err != nil {
		return nil, err
	}
	if reply.ID != w.id {
		return nil, fmt.Errorf("%v: reply to request %d, sent %d", op, reply.ID, w.id)
	}
	if reply.Status == codec.StatusOK {
		return decodeAll(w, reply.Body), nil
	}
	for _, status := range allowed {
		if reply.Status == status {
			return nil, nil
		}
	}
	e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
	return nil, fmt.Errorf("%v%.100v: %w", op, args, e)
}

// TestParallel: many connections do everything at once on the same few tables, which are created
// and dropped under the same names. In the end the tables must be consistent.
func TestParallel(t *testing.T) {
	t.Parallel()
	clients, batches := 8, 60
	switch {
	case conformance.Long():
		clients, batches = 12, 300
	case testing.Short():
		batches = 15
	}
	seed := conformance.Seed(t)
	srv := startServer(t, nil)
	families := conformance.StartOracle(t, seed).Families
	names := []string{"a", "b", "x", "y"}
	inParallel(t, srv, clients, func(w *wire, i int) error {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		g := conformance.NewOperations(w, rng, families)
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
		}
		return nil
	})
	w := dial(t, srv)
	left := w.ok(codec.OpTables)
	seen := make(map[any]bool)
	for i := 0; i < len(left); i += 3 {
		name, length := left[i], left[i+2]
		if seen[name] {
			t.Errorf("two tables named %v", name)
		}
		seen[name] = true
		if left[i+1] == "list" {
			holdsTogether(t, w, codec.OpListLen, codec.OpListAll, name, length, 1)
			continue
		}
		holdsTogether(t, w, codec.OpDictLen, codec.OpDictItems, name, length, 2)
		dictHoldsTogether(t, w, name)
	}
	if views := srv.Info().Views; views != 0 {
		t.Errorf("%d views are left open", views)
	}
}

func holdsTogether(t *testing.T, w *wire, lenOp, allOp codec.Opcode, name, length any, each int) {
	t.Helper()
	n := w.ok(lenOp, name)[0]
	if all := w.ok(allOp, name); n != length || n != int64(len(all)/each) {
		t.Errorf("%v: length %v, TABLES says %v, %v gives %d", name, n, length, allOp, len(all)/each)
	}
}

// dictHoldsTogether checks that keys, values, items and the value of each key agree, and that no
// key is there twice.
func dictHoldsTogether(t *testing.T, w *wire, name any) {
	t.Helper()
	items := encodedValues(t, w.call(codec.OpDictItems, name).Body)
	keys, vals := encodedValues(
		t,
		w.call(codec.OpDictKeys, name).Body,
	), encodedValues(
		t,
		w.call(codec.OpDictValues, name).Body,
	)
	if 2*len(keys) != len(items) || len(keys) != len(vals) {
		t.Fatalf("%v: %d keys, %d values, %d parts of items", name, len(keys), len(vals), len(items))
	}
	canonical := make(map[string]bool)
	for i, key := range keys {
		if !bytes.Equal(items[2*i], key) || !bytes.Equal(items[2*i+1], vals[i]) {
			t.Fatalf("%v: item %d is not key and value %d", name, i, i)
		}
		form, unequal, err := value.Key(key, nil)
		if err != nil || unequal { // nan is not found again
			continue
		}
		if canonical[string(form)] {
			t.Errorf("%v: key %x is there twice", name, key)
		}
		canonical[string(form)] = true
		if got := w.call(codec.OpDictGet, name, rawValue(key)); !bytes.Equal(got.Body, vals[i]) {
			t.Errorf("%v: under key %x is %x, among the values %x", name, key, got.Body, vals[i])
		}
	}
}

func encodedValues(t *testing.T, b []byte) (all [][]byte) {
	t.Helper()
	for len(b) > 0 {
		n := value.Size(b)
		all, b = append(all, b[:n]), b[n:]
	}
	return all
}

// TestParallelAtomic: every kind of read sees an update of many keys, in many shards, completely or
// not at all.
func TestParallelAtomic(t *testing.T) {
	t.Parallel()
	entries, rounds := 40_000, 40
	if testing.Short() {
		entries, rounds = 15_000, 10
	}
	srv := startServer(t, nil)
	content := []any{"d", false}
	for i := range entries {
		content = append(content, fmt.Sprint("filler", i), 0)
	}
	var keys []any
	for i := range 50 {
		keys = append(keys, i)
		content = append(content, i, 0)
	}
	dial(t, srv).ok(codec.OpCreateDict, content...)
	inParallel(t, srv, 6, func(w *wire, client int) error {
		for round := range rounds {
			if client < 3 {
				args := []any{"d"}
				for _, key := range keys {
					args = append(args, key, client*1000+round)
				}
				if _, err := w.do(codec.OpDictUpdate, args); err != nil {
					return err
				}
				continue
			}
			op, args := codec.OpDictGetMany, append([]any{"d"}, keys...)
			if round%4 == 3 {
				op, args = codec.OpDictValues, args[:1]
			}
			got, err := w.do(op, args)
			if err != nil {
				return err
			}
			got = got[len(got)-len(keys):]
			for _, v := range got {
				if v != got[0] {
					return fmt.Errorf("%v saw a part of an update: %v", op, got)
				}
			}
		}
		return nil
	})
}

// TestParallelNothingLost: increments of one counter, appends to both ends of one list and pops
// from it each take effect exactly once.
func TestParallelNothingLost(t *testing.T) {
	t.Parallel()
	const clients, each = 8, 300
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	w.ok(codec.OpCreateList, "log", false)
	w.ok(codec.OpCreateList, "queue", false)
	popped := make([]map[any]bool, clients)
	inParallel(t, srv, clients, func(w *wire, client int) error {
		popped[client] = make(map[any]bool)
		for i := range each {
			name := int64(client*each + i)
			for _, request := range []struct {
				op   codec.Opcode
				args []any
			}{
				{codec.OpDictIncrement, []any{"d", "n", 1}},
				{codec.OpDictIncrement, []any{"d", i % 7, 2.0}},
				{codec.OpListAppend, []any{"log", name}},
				{[]codec.Opcode{codec.OpListAppend, codec.OpListAppendLeft}[i%2], []any{"queue", name}},
			} {
				if _, err := w.do(request.op, request.args); err != nil {
					return err
				}
			}
			if i%2 == 0 {
				got, err := w.do([]codec.Opcode{codec.OpListPop, codec.OpListPopLeft}[i/2%2], []any{"queue"})
				if err != nil {
					return err
				}
				popped[client][got[0]] = true
			}
		}
		return nil
	})
	if n := w.ok(codec.OpDictGet, "d", "n"); n[0] != int64(clients*each) {
		t.Errorf("%v increments of %d", n, clients*each)
	}
	sum := 0.0
	for i := range 7 {
		sum += w.ok(codec.OpDictGet, "d", i)[0].(float64)
	}
	if sum != 2*clients*each {
		t.Errorf("the float increments make %v", sum)
	}
	last := make([]int64, clients)
	log := w.ok(codec.OpListAll, "log")
	for _, v := range log {
		name := v.(int64)
		client := name / each
		if name < last[client] {
			t.Errorf("element %d comes after %d", name, last[client])
		}
		last[client] = name
	}
	if len(log) != clients*each {
		t.Errorf("%d of %d appended", len(log), clients*each)
	}
	found := w.ok(codec.OpListAll, "queue")
	for _, m := range popped {
		for v := range m {
			found = append(found, v)
		}
	}
	once := make(map[any]bool)
	for _, v := range found {
		if once[v] {
			t.Errorf("%v came out twice", v)
		}
		once[v] = true
	}
	if len(once) != clients*each {
		t.Errorf("%d of %d elements of the queue are accounted for", len(once), clients*each)
	}
}
