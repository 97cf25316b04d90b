package loop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// Arguments of requests in histories of locks: an owner, a fence or a value.
const (
	stranger = 99 // an owner that holds nothing
	noFence  = 0
)

// lockState is the state of the model: who holds the lock, with which fence, the last fence, and
// the value that requests with IF FENCE write.
type lockState struct{ owner, fence, last, val int64 }

// lockModel is the sequential meaning of requests on one lock, whose leases do not end. A LOCK may
// be refused though the lock is free: others stand in line before it.
var lockModel = porcupine.Model{
	Init: func() any { return lockState{} },
	Step: func(state, in, out any) (bool, any) {
		return state.(lockState).step(in.(linearInput), out.(linearOutput))
	},
	Equal:             func(a, b any) bool { return a.(lockState) == b.(lockState) },
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v -> %v", in, out) },
}

func (s lockState) step(in linearInput, out linearOutput) (bool, lockState) {
	owner := in.args[0]
	switch in.op {
	case codec.OpLock:
		switch got := out.vals[0]; {
		case got == absentInt:
			return s.owner != owner, s
		case s.owner == owner:
			return got == s.fence, s
		default:
			return s.owner == 0 && got > s.last, lockState{owner, got, got, s.val}
		}
	case codec.OpUnlock:
		if held := s.owner == owner; !held {
			return out.vals[0] == 0, s
		}
		return out.vals[0] == 1, lockState{0, noFence, s.last, s.val}
	case codec.OpRenewLock:
		if s.owner == owner {
			return out.status == codec.StatusOK && out.vals[0] == s.fence, s
		}
		return out.status == codec.StatusLockLost && out.vals[0] == s.fence, s
	default: // DICT SET with IF FENCE
		if s.owner != 0 && s.fence == in.args[0] {
			s.val = in.args[1]
			return out.status == codec.StatusOK, s
		}
		return out.status == codec.StatusLockLost && out.vals[0] == s.fence, s
	}
}

// lockClient is one client of a history, and an owner.
type lockClient struct {
	wire  *wire
	owner int64
	name  string
	fence *atomic.Int64 // the last one that a client was granted
	ops   []porcupine.Operation
}

// one sends a random request and notes what it was answered.
func (c *lockClient) one(rng *rand.Rand, start time.Time) error {
	in := linearInput{codec.OpLock, []int64{c.owner}}
	id := func(n int64) []byte { return ownerOf(fmt.Sprint("owner ", n)) }
	args, ext := []any{c.name, id(c.owner), leaseTime, 0, 1}, []byte(nil)
	switch n := rng.IntN(10); {
	case n < 2:
	case n < 4:
		args[3] = 1 + rng.IntN(4)
	case n < 6:
		in.op, args = codec.OpUnlock, args[:2]
	case n < 7:
		in = linearInput{codec.OpUnlock, []int64{stranger}}
		args = []any{c.name, id(stranger)}
	case n < 8:
		in.op, args = codec.OpRenewLock, args[:3]
	default:
		in = linearInput{codec.OpDictSet, []int64{c.fence.Load(), rng.Int64N(1000)}}
		args = []any{"d", c.name, in.args[1]}
		ext = codec.AppendFence(nil, &codec.Fence{Number: uint64(in.args[0]), Lock: []byte(c.name)})
	}
	w := c.wire
	w.id++
	req := codec.Request{ID: w.id, Op: in.op, Args: encodeArgs(w, args...)}
	if ext != nil {
		req.Flags, req.Extensions = codec.FlagExtensions, ext
	}
	call := time.Since(start)
	if _, err := w.conn.Write(codec.AppendRequest(nil, &req)); err != nil {
		return err
	}
	reply, err := w.reply()
	if err != nil {
		return err
	}
	out, err := lockOutput(w, in.op, reply)
	if err != nil {
		return err
	}
	if in.op == codec.OpLock && out.vals[0] != absentInt {
		c.fence.Store(out.vals[0])
	}
	c.ops = append(c.ops, porcupine.Operation{
		ClientId: int(c.owner), Input: in, Output: out, Call: int64(call), Return: int64(time.Since(start)),
	})
	return nil
}

func lockOutput(w *wire, op codec.Opcode, reply codec.Reply) (out linearOutput, err error) {
	out.status = reply.Status
	body := reply.Body
	if reply.Status != codec.StatusOK {
		e, err := codec.ParseErrorBody(reply.Status, reply.Body)
		if err != nil || reply.Status != codec.StatusLockLost {
			return out, fmt.Errorf("%v: %w", op, errors.Join(e, err))
		}
		body = e.Key
	}
	for _, v := range decodeAll(w, body) {
		switch v := v.(type) {
		case nil:
			out.vals = append(out.vals, absentInt)
		case bool:
			out.vals = append(out.vals, flagInt(v))
		case int64:
			out.vals = append(out.vals, v)
		}
	}
	return out, nil
}

// lockHistory makes a concurrent history of one lock.
func lockHistory(t *testing.T, conns []*wire, name string, seed uint64) []porcupine.Operation {
	t.Helper()
	start, fence := time.Now(), new(atomic.Int64)
	clients := make([]*lockClient, len(conns))
	failed := make([]error, len(conns))
	var all sync.WaitGroup
	for i, w := range conns {
		c := &lockClient{wire: w, owner: int64(i + 1), name: name, fence: fence}
		clients[i] = c
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for range 12 {
				if err := c.one(rng, start); err != nil {
					failed[i] = err
					return
				}
			}
		})
	}
	all.Wait()
	var ops []porcupine.Operation
	for i, c := range clients {
		if failed[i] != nil {
			t.Fatal(failed[i])
		}
		ops = append(ops, c.ops...)
	}
	return ops
}

// lockHistories makes histories of locks until one has no order, which it returns.
func lockHistories(t *testing.T, rounds int) (wrong []porcupine.Operation) {
	t.Helper()
	seed := conformance.Seed(t)
	srv := startServer(t, nil)
	conns := make([]*wire, 5)
	for i := range conns {
		conns[i] = dial(t, srv)
	}
	conns[0].ok(codec.OpCreateDict, "d", false)
	undecided := 0
	for round := range rounds {
		ops := lockHistory(t, conns, fmt.Sprint("lock ", round), seed+uint64(round))
		switch porcupine.CheckOperationsTimeout(lockModel, ops, linearTimeout) {
		case porcupine.Illegal:
			slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
			return ops
		case porcupine.Unknown:
			undecided++
		case porcupine.Ok:
		}
	}
	if undecided > rounds/4 {
		t.Errorf("%d of %d histories have no verdict", undecided, rounds)
	}
	return nil
}

// TestLocksLinearizable: concurrent requests on a lock are as if one came after the other: it has
// one owner, fences grow, and nothing is written with a fence that is not the present one.
func TestLocksLinearizable(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	if conformance.Long() {
		rounds = 2000
	}
	for _, op := range lockHistories(t, rounds) {
		t.Errorf("%8d to %8d ns, client %d: %v -> %v", op.Call, op.Return, op.ClientId, op.Input, op.Output)
	}
}
