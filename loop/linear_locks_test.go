package loop

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// stranger is an owner that holds nothing.
const stranger = 99

// lockState is a state of the model: who holds the lock, with which fence, for how long, the last
// fence, and the value that requests with IF FENCE write.
type lockState struct {
	owner, fence, last, val int64 // owner 0: it is free; fence 0: not known
	lease                   lease
}

// lockModel is the sequential meaning of requests on one lock. A LOCK may be refused though the
// lock is free: others stand in line before it. A grant whose reply was lost may be given back at
// any time, so its lease is not counted on.
var lockModel = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{lockState{val: absentInt}} },
	Step: func(state, in, out any) []any {
		return state.(lockState).step(in.(timedInput), out.(linearOutput))
	},
	Equal: func(a, b any) bool { return a == b },
}).ToModel()

// step returns the states that there may be after a request: none if it cannot have this outcome.
func (s lockState) step(in timedInput, out linearOutput) []any {
	if out.lost {
		return s.afterLost(in)
	}
	ok, arg := false, in.args
	switch in.op {
	case codec.OpLock:
		ok, s = s.afterLock(in, out)
	case codec.OpUnlock:
		if ok = s.owner == arg[0] && s.lease.mayHold(in); ok && out.vals[0] == 1 {
			s.owner = 0
		} else {
			ok = out.vals[0] == 0 && (s.owner != arg[0] || s.lease.mayBeOver(in))
		}
	case codec.OpRenewLock:
		if out.status == codec.StatusOK {
			ok = s.owner == arg[0] && s.holds(in, out.vals[0])
			s = s.granted(arg[0], out.vals[0], leaseFrom(in, arg[1]))
		} else {
			ok, s = s.isLost(in, out.vals[0])
			ok = ok && (s.owner != arg[0] || s.lease.mayBeOver(in))
		}
	case codec.OpDictSet: // with IF FENCE
		if out.status == codec.StatusOK {
			ok, s.val = s.holds(in, arg[0]), arg[1]
		} else {
			ok, s = s.isLost(in, out.vals[0])
			ok = ok && (out.vals[0] == 0 || out.vals[0] != arg[0])
		}
	case codec.OpDictGet:
		ok = out.vals[0] == s.val
	default: // LOCK HOLDERS
		ok, s = s.isLost(in, out.vals[0])
	}
	if !ok {
		return nil
	}
	return []any{s}
}

func (s lockState) mayBeFree(in timedInput) bool { return s.owner == 0 || s.lease.mayBeOver(in) }

// holds reports whether the lock may be held with a fence.
func (s lockState) holds(in timedInput, fence int64) bool {
	return s.owner != 0 && s.lease.mayHold(in) && (fence == s.fence || s.fence == 0 && fence > s.last)
}

func (s lockState) granted(owner, fence int64, l lease) lockState {
	return lockState{owner, fence, max(s.last, fence), s.val, l}
}

// isLost reports whether fence may be the present one, 0 if the lock is free.
func (s lockState) isLost(in timedInput, fence int64) (bool, lockState) {
	if fence == 0 {
		return s.mayBeFree(in), s
	}
	return s.holds(in, fence), s.granted(s.owner, fence, s.lease)
}

func (s lockState) afterLock(in timedInput, out linearOutput) (bool, lockState) {
	owner := in.args[0]
	if out.status == codec.StatusCanceled { // by an UNLOCK whose connection was lost
		return true, s
	}
	fence, next := out.vals[0], s.granted(owner, out.vals[0], leaseFrom(in, in.args[1]))
	switch {
	case fence == absentInt:
		return s.owner != owner || s.lease.mayBeOver(in), s
	case s.owner == owner && s.holds(in, fence):
		return true, next
	}
	return s.mayBeFree(in) && fence > s.last, next
}

// afterLost is step for a request without a reply. It had its effect, or it comes after all others.
func (s lockState) afterLost(in timedInput) (all []any) {
	if len(in.args) == 0 { // it reads
		return []any{s}
	}
	owner, own := in.args[0], s.owner == in.args[0]
	switch in.op {
	case codec.OpLock:
		if s.owner != 0 && own {
			renewed := s
			renewed.lease = s.lease.changed(in)
			all = append(all, renewed)
		}
		// It was granted once the lease of the owner before was over, if that was so.
		granted := lockState{owner, 0, s.last, s.val, lease{s.lease.least, noReply}}
		if s.owner == 0 {
			granted.lease.least = 0
		}
		return append(all, granted)
	case codec.OpUnlock:
		if own {
			s.owner = 0
		}
	case codec.OpRenewLock:
		if own {
			s.lease = s.lease.changed(in)
		}
	case codec.OpDictSet:
		if s.owner != 0 && s.fence == in.args[0] {
			s.val = in.args[1]
		}
	}
	return []any{s}
}

// changed returns a lease that a request may have changed.
func (l lease) changed(in timedInput) lease {
	return lease{min(l.least, leaseFrom(in, in.args[1]).least), noReply}
}

// lockClient is one client of a history, and an owner.
type lockClient struct {
	*noter
	name  string
	fence *atomic.Int64 // the last one that a client was granted
}

// one sends a random request and notes what it was answered.
func (c *lockClient) one() error {
	owner, ttl := c.number, someLease(c.rng, c.longest)
	var in linearInput
	var args []any
	req := &codec.Request{}
	id := func(n int64) []byte { return ownerOf(fmt.Sprint("owner ", n)) }
	switch n := c.rng.IntN(12); {
	case n < 4:
		in = linearInput{codec.OpLock, []int64{owner, ttl}}
		args = []any{c.name, id(owner), ttl, c.rng.IntN(2) * c.rng.IntN(6), 1}
	case n < 6:
		in, args = linearInput{codec.OpUnlock, []int64{owner}}, []any{c.name, id(owner)}
	case n < 7:
		in, args = linearInput{codec.OpUnlock, []int64{stranger}}, []any{c.name, id(stranger)}
	case n < 8:
		in, args = linearInput{codec.OpRenewLock, []int64{owner, ttl}}, []any{c.name, id(owner), ttl}
	case n < 9:
		in, args = linearInput{codec.OpLockHolders, nil}, []any{c.name}
	case n < 10:
		in, args = linearInput{codec.OpDictGet, nil}, []any{"d", c.name}
	default:
		in = linearInput{codec.OpDictSet, []int64{c.fence.Load(), c.rng.Int64N(1000)}}
		args = []any{"d", c.name, in.args[1]}
		req.Flags, req.Extensions = codec.FlagExtensions, codec.AppendFence(nil,
			&codec.Fence{Number: uint64(in.args[0]), Lock: []byte(c.name)})
	}
	req.Op, req.Args = in.op, encodeArgs(c, args...)
	out, known, err := c.ask(timedInput{linearInput: in}, req, c.output(in.op))
	if known && err == nil && in.op == codec.OpLock && out.status == codec.StatusOK && out.vals[0] != absentInt {
		c.fence.Store(out.vals[0])
	}
	return err
}

// output returns what reads the reply to a request.
func (c *lockClient) output(op codec.Opcode) func(codec.Reply) (linearOutput, error) {
	return func(reply codec.Reply) (linearOutput, error) {
		switch {
		case reply.Status == codec.StatusOK && op == codec.OpLockHolders:
			fence := int64(0)
			if all := decodeAll(c, reply.Body)[0].([]any); len(all) > 0 {
				fence = all[0].([]any)[0].(int64)
			}
			return linearOutput{vals: []int64{fence}}, nil
		case reply.Status == codec.StatusOK:
			return linearOutput{vals: c.intsOf(reply.Body)}, nil
		case reply.Status == codec.StatusKeyError && op == codec.OpDictGet:
			return linearOutput{vals: []int64{absentInt}}, nil
		}
		return c.statusOf(reply, codec.StatusLockLost, codec.StatusCanceled)
	}
}

// lockHistory makes a concurrent history of one lock.
func lockHistory(h *course, name string) ([]porcupine.Operation, error) {
	fence := new(atomic.Int64)
	return h.run(func(c *noter) func() error {
		return (&lockClient{noter: c, name: name, fence: fence}).one
	})
}

// lockHistories makes histories of locks until one has no order, which it returns.
func lockHistories(t *testing.T, rounds int) (wrong []porcupine.Operation) {
	t.Helper()
	seed := conformance.Seed(t)
	srv := startServer(t, nil)
	dial(t, srv).ok(codec.OpCreateDict, "d", false)
	var v verdicts
	for round := range rounds {
		ops, err := lockHistory(courseOn(t, srv, seed, round), fmt.Sprint("lock ", round))
		if err != nil {
			t.Fatal(err)
		}
		if !v.check(lockModel, ops) {
			return ops
		}
	}
	v.enough(t)
	return nil
}

// TestLocksLinearizable: concurrent requests on a lock are as if one came after the other: it has
// one owner until its lease ends, fences grow, and nothing is written with a fence that is not the
// present one. In every other history clients lose their connections in the middle of requests.
func TestLocksLinearizable(t *testing.T) {
	t.Parallel()
	if wrong := lockHistories(t, linearRounds()); wrong != nil {
		t.Errorf("a history has no order:\n%s", textOf(wrong))
	}
}
