package loop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// history says how a concurrent history is made.
type history struct {
	create  codec.Opcode
	table   string
	initial []int64
	model   porcupine.Model
	next    func(rng *rand.Rand) linearInput
	clients int
	ops     int // of each client
	depth   int // requests in flight of each client, at most
}

// TestLinearizable makes many small concurrent histories, on one table each, for which porcupine
// searches a sequential order. With tables of more than shardmap.InlineElements elements some
// requests run in the background.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	rounds, large := 60, 4
	if testing.Short() || raceEnabled {
		rounds, large = 15, 2
	}
	if conformance.Long() {
		rounds, large = 1000, 50
	}
	seed := conformance.Seed(t)
	srv := startServer(t, nil)
	conns := make([]*wire, 8)
	for i := range conns {
		conns[i] = dial(t, srv)
	}
	var v verdicts
	check := func(h history, ops []porcupine.Operation) {
		if !v.check(h.model, ops) {
			t.Fatalf("%s: not linearizable:\n%s", h.table, textOf(ops))
		}
	}
	for round := range rounds {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		for _, h := range []history{dictHistory(rng, 0), listHistory(rng, 0)} {
			h.table = fmt.Sprintf("%v %d", h.create, round)
			check(h, h.run(t, conns, rng))
		}
	}
	for round := range large {
		rng := rand.New(rand.NewPCG(seed, uint64(1e6+round)))
		for _, h := range []history{dictHistory(rng, 4200), listHistory(rng, 4200)} {
			h.table = fmt.Sprintf("%v, large %d", h.create, round)
			check(h, h.run(t, conns, rng))
		}
	}
	v.enough(t)
	if panics := srv.Info().Panics; panics != 0 {
		t.Errorf("%d panics", panics)
	}
}

// dictHistory makes a history of a dict with size entries besides the few that are contended for.
func dictHistory(rng *rand.Rand, size int) history {
	h := history{create: codec.OpCreateDict, clients: 4 + rng.IntN(5), ops: 10, depth: 1}
	if h.clients == 4 {
		h.depth = 2
	}
	for i := range int64(size) {
		h.initial = append(h.initial, 1000+i, i)
	}
	if size > 0 {
		h.ops = 6
	}
	h.model = linearModel(h.initial, dictStep)
	h.next = func(rng *rand.Rand) linearInput {
		key, val := rng.Int64N(3), rng.Int64N(4)
		orAbsent := func(n int64) int64 { return []int64{n, n, absentInt}[rng.IntN(3)] }
		switch op := pickFrom(rng, dictHistoryOps); op {
		case codec.OpDictSet, codec.OpDictSetDefault, codec.OpDictIncrement:
			return linearInput{op, []int64{key, val}}
		case codec.OpDictCompareAndSet:
			return linearInput{op, []int64{key, orAbsent(val), orAbsent(rng.Int64N(4))}}
		case codec.OpDictUpdate:
			args := []int64{key, val, rng.Int64N(3), rng.Int64N(4)}
			for i := range int64(size / 8) { // in the background only if it is long
				args = append(args, 1000+8*i, val)
			}
			return linearInput{op, args}
		case codec.OpDictGetMany:
			return linearInput{op, []int64{0, 1, 2}}
		case codec.OpDictDeleteMany:
			args := []int64{key, rng.Int64N(3), key}
			for i := range int64(size / 8) { // absent; in the background only if it is long
				args = append(args, 1001+8*i)
			}
			return linearInput{op, args}
		case codec.OpDictGet, codec.OpDictPop, codec.OpDictContains:
			return linearInput{op, []int64{key}}
		case codec.OpDictPopItem, codec.OpDictClear:
			if size > 0 { // would soon leave nothing that is large
				return linearInput{codec.OpDictItems, nil}
			}
			return linearInput{op, nil}
		default:
			return linearInput{op, nil}
		}
	}
	return h
}

var dictHistoryOps = []codec.Opcode{
	codec.OpDictGet,
	codec.OpDictSet,
	codec.OpDictPop,
	codec.OpDictSetDefault,
	codec.OpDictIncrement,
	codec.OpDictIncrement,
	codec.OpDictCompareAndSet,
	codec.OpDictCompareAndSet,
	codec.OpDictLen,
	codec.OpDictPopItem,
	codec.OpDictUpdate,
	codec.OpDictContains,
	codec.OpDictItems,
	codec.OpDictKeys,
	codec.OpDictGetMany,
	codec.OpDictDeleteMany,
	codec.OpDictClear,
}

// listHistory makes a history of a list that begins with size elements.
func listHistory(rng *rand.Rand, size int) history {
	h := history{create: codec.OpCreateList, clients: 4 + rng.IntN(5), depth: 1}
	if h.clients == 4 {
		h.depth = 2
	}
	h.ops = 40 / h.clients
	for range size {
		h.initial = append(h.initial, rng.Int64N(50))
	}
	if size > 0 {
		h.ops = 6
	}
	h.model = linearModel(h.initial, listStep)
	h.next = func(rng *rand.Rand) linearInput {
		index, val := rng.Int64N(6)-3, 100*rng.Int64N(100)
		switch op := pickFrom(rng, listHistoryOps); op {
		case codec.OpListAppend, codec.OpListAppendLeft, codec.OpListCount:
			return linearInput{op, []int64{val}}
		case codec.OpListInsert, codec.OpListSet:
			return linearInput{op, []int64{index, val}}
		case codec.OpListGet:
			return linearInput{op, []int64{index}}
		case codec.OpListExtend:
			return linearInput{op, []int64{val, val + 1, val + 2}}
		default:
			return linearInput{op, nil}
		}
	}
	return h
}

var listHistoryOps = []codec.Opcode{
	codec.OpListAppend,
	codec.OpListAppend,
	codec.OpListPop,
	codec.OpListPopLeft,
	codec.OpListGet,
	codec.OpListSet,
	codec.OpListLen,
	codec.OpListInsert,
	codec.OpListSort,
	codec.OpListAll,
	codec.OpListAppendLeft,
	codec.OpListExtend,
	codec.OpListReverse,
	codec.OpListCount,
}

func pickFrom[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// run creates the table and runs the clients.
func (h *history) run(t *testing.T, conns []*wire, rng *rand.Rand) []porcupine.Operation {
	t.Helper()
	create := []any{h.table, false}
	for _, v := range h.initial {
		create = append(create, v)
	}
	conns[0].ok(h.create, create...)
	start := time.Now()
	rngs := make([]*rand.Rand, h.clients)
	for i := range rngs {
		rngs[i] = rand.New(rand.NewPCG(rng.Uint64(), 0))
	}
	ops, err := together(h.clients, func(i int) ([]porcupine.Operation, error) {
		return h.client(conns[i], i, rngs[i], start)
	})
	if err != nil {
		t.Fatal(err)
	}
	conns[0].ok(codec.OpDrop, h.table)
	return ops
}

// client makes the requests of one client, at most depth at once.
func (h *history) client(w *wire, id int, rng *rand.Rand, start time.Time) ([]porcupine.Operation, error) {
	var ops []porcupine.Operation
	for len(ops) < h.ops {
		var frames []byte
		n := 1 + rng.IntN(h.depth)
		first := w.id + 1
		for range n {
			in := h.next(rng)
			args := []any{h.table}
			if in.op == codec.OpListSort {
				args = append(args, nil, false)
			}
			for _, arg := range in.args {
				if arg == absentInt {
					args = append(args, rawValue{codec.Absent})
				} else {
					args = append(args, arg)
				}
			}
			frames = append(frames, w.request(in.op, args...)...)
			ops = append(ops, porcupine.Operation{ClientId: id, Input: in})
		}
		sent := int64(time.Since(start))
		if _, err := w.conn.Write(frames); err != nil {
			return nil, err
		}
		// Each reply's time is that of the last reply of the batch. That is later than it was, and
		// hides only faults that depth 1 shows.
		replies, err := w.replies(first, n)
		if err != nil {
			return nil, err
		}
		now := int64(time.Since(start))
		for i, reply := range replies {
			op := &ops[len(ops)-n+i]
			op.Call, op.Return = sent, now
			if op.Output, err = linearReply(w, reply); err != nil {
				return nil, err
			}
		}
	}
	return ops, nil
}

func linearReply(w *wire, reply codec.Reply) (linearOutput, error) {
	out := linearOutput{status: reply.Status}
	if reply.Status != codec.StatusOK {
		return out, nil
	}
	for _, v := range decodeAll(w, reply.Body) {
		switch v := v.(type) {
		case int64:
			out.vals = append(out.vals, v)
		case bool:
			out.vals = append(out.vals, flagInt(v))
		case absent:
			out.vals = append(out.vals, absentInt)
		default:
			return out, fmt.Errorf("a reply holds a %T", v)
		}
	}
	return out, nil
}

// TestLinearizableFindsFaults: the checker finds a lost update, a stale read, and any altered
// outcome of a real history.
func TestLinearizableFindsFaults(t *testing.T) {
	t.Parallel()
	seed := conformance.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 3))
	op := func(client int, call, end int64, op codec.Opcode, args []int64, vals ...int64) porcupine.Operation {
		return porcupine.Operation{
			ClientId: client, Input: linearInput{op, args}, Call: call, Output: linearOutput{vals: vals}, Return: end,
		}
	}
	for name, ops := range map[string][]porcupine.Operation{
		"lost update": {op(0, 0, 10, codec.OpDictIncrement, []int64{1, 1}, 1), op(1, 5, 15, codec.OpDictIncrement, []int64{1, 1}, 1)},
		"stale read":  {op(0, 0, 10, codec.OpDictSet, []int64{1, 1}), op(1, 11, 15, codec.OpDictLen, nil, 0)},
		"torn read": {
			op(0, 0, 10, codec.OpDictUpdate, []int64{1, 1, 2, 1}), op(0, 11, 30, codec.OpDictUpdate, []int64{1, 2, 2, 2}),
			op(1, 12, 29, codec.OpDictItems, nil, 1, 2, 2, 1),
		},
	} {
		if porcupine.CheckOperationsTimeout(linearModel(nil, dictStep), ops, linearTimeout) != porcupine.Illegal {
			t.Errorf("%s was not found", name)
		}
	}
	srv := startServer(t, nil)
	conns := make([]*wire, 8)
	for i := range conns {
		conns[i] = dial(t, srv)
	}
	for round := range 10 {
		h := listHistory(rng, 0)
		h.table = fmt.Sprintf("broken %d", round)
		h.clients, h.ops, h.depth = 4, 5, 1 // that there is no order is found by trying all
		ops := h.run(t, conns, rng)
		if porcupine.CheckOperationsTimeout(h.model, ops, linearTimeout) == porcupine.Illegal {
			t.Fatalf("%s: not linearizable:\n%s", h.table, textOf(ops))
		}
		at := slices.IndexFunc(
			ops,
			func(op porcupine.Operation) bool { return op.Input.(linearInput).op == codec.OpListLen },
		)
		if at < 0 {
			continue
		}
		out := ops[at].Output.(linearOutput)
		ops[at].Output = linearOutput{vals: []int64{out.vals[0] + 1000}}
		if porcupine.CheckOperationsTimeout(h.model, ops, linearTimeout) == porcupine.Ok {
			t.Errorf("round %d: an outcome that cannot be was not found", round)
		}
	}
}
