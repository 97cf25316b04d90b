package loop

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// queuedItem is an item of a queue. While it is not leased, receipt and claim are 0.
type queuedItem struct {
	val, deliveries, receipt, claim int64
	lease                           lease // or its delay
}

// queueState is a state of the model, which is never changed in place.
type queueState struct {
	ready []queuedItem // the first one first
	held  []queuedItem // also those that have returned since their lease or delay is over
	last  int64        // receipt
	lost  int64        // TAKEs without a reply: each may have counted a delivery
}

// queueModel is the sequential meaning of LIST APPEND, PUT, TAKE, ACK, NACK and EXTEND LEASE on one
// list. An item whose lease or delay is over returns at some time after that, in any order. A TAKE
// that waits may get nothing though there are items: others stand in line before it. What a TAKE
// without a reply took may return at any time.
var queueModel = porcupine.Model{
	Init: func() any { return queueState{} },
	Step: func(state, in, out any) (bool, any) {
		return state.(queueState).step(in.(timedInput), out.(linearOutput))
	},
	Equal: func(a, b any) bool {
		s, o := a.(queueState), b.(queueState)
		return s.last == o.last && s.lost == o.lost && slices.Equal(s.ready, o.ready) && slices.Equal(s.held, o.held)
	},
}

func (s queueState) step(in timedInput, out linearOutput) (bool, queueState) {
	switch arg := in.args; in.op {
	case codec.OpListAppend:
		s.ready = append(slices.Clip(s.ready), queuedItem{val: arg[0]})
		return true, s
	case codec.OpListPut:
		s.held = append(slices.Clip(s.held), queuedItem{val: arg[0], lease: lease{leaseFrom(in, arg[1]).least, 0}})
		return true, s
	case codec.OpListTake:
		if out.lost {
			return true, s.takeLost()
		}
		return s.take(in, out.vals)
	case codec.OpListAll:
		return s.isAll(out.vals), s
	}
	at := slices.IndexFunc(s.held, func(item queuedItem) bool {
		return item.receipt != 0 && item.receipt == in.args[0]
	})
	switch {
	case out.lost:
		return true, s.end(in, at)
	case out.status == codec.StatusOK:
		return at >= 0 && s.held[at].lease.mayHold(in), s.end(in, at)
	}
	return at < 0 || s.held[at].lease.mayBeOver(in), s
}

// end ends or changes the lease of an item: ACK, NACK and EXTEND LEASE.
func (s queueState) end(in timedInput, at int) queueState {
	if at < 0 {
		return s
	}
	item := s.held[at]
	s.held = slices.Delete(slices.Clone(s.held), at, at+1)
	switch {
	case in.op == codec.OpListAck:
		return s
	case in.op == codec.OpListExtendLease && in.ret == noReply:
		item.lease = item.lease.changed(in)
	case in.op == codec.OpListExtendLease:
		item.lease = leaseFrom(in, in.args[1])
	case in.args[1] > 0: // a NACK with a delay
		item.receipt, item.claim, item.lease = 0, 0, lease{leaseFrom(in, in.args[1]).least, 0}
	default:
		item.receipt, item.claim = 0, 0
		s.ready = append([]queuedItem{item}, s.ready...)
		return s
	}
	s.held = append(s.held, item)
	return s
}

func (s queueState) take(in timedInput, got []int64) (bool, queueState) {
	claim := in.args[0]
	own := slices.IndexFunc(s.held, func(item queuedItem) bool { return item.claim == claim })
	if own >= 0 {
		item := s.held[own]
		if item.lease.mayHold(in) && slices.Equal(got, []int64{item.receipt, item.deliveries, item.val}) {
			return true, s
		}
		if !item.lease.mayBeOver(in) {
			return false, s
		}
	}
	if len(got) == 1 {
		return got[0] == absentInt && (len(s.ready) == 0 || in.args[1] > 0), s
	}
	again := in.first < in.call // it may have been granted before
	if len(got) != 3 || got[0] <= s.last && !again {
		return false, s
	}
	item, next := s.taken(in, got[2])
	if item == nil || got[1] <= item.deliveries || got[1] > item.deliveries+1+s.lost {
		return false, s
	}
	next.last = max(s.last, got[0])
	next.held = slices.Clone(next.held)
	for i := range next.held {
		if next.held[i].claim == claim {
			next.held[i].claim = 0 // its lease was over
		}
	}
	next.held = append(next.held, queuedItem{
		val: item.val, deliveries: got[1], receipt: got[0], claim: claim, lease: leaseFrom(in, in.args[2]),
	})
	return true, next
}

// taken returns the item with a value that a TAKE may get, and the state without it.
func (s queueState) taken(in timedInput, val int64) (*queuedItem, queueState) {
	if len(s.ready) > 0 && s.ready[0].val == val {
		item := s.ready[0]
		s.ready = s.ready[1:]
		return &item, s
	}
	for i, item := range s.held {
		if item.val == val && item.lease.mayBeOver(in) {
			s.held = slices.Delete(slices.Clone(s.held), i, i+1)
			return &item, s
		}
	}
	return nil, s
}

// takeLost is a TAKE without a reply. It may have taken what has returned instead: that may be
// taken again in any case.
func (s queueState) takeLost() queueState {
	s.lost++
	if len(s.ready) > 0 {
		item := s.ready[0]
		item.receipt, item.claim, item.lease = 0, 0, lease{}
		s.ready, s.held = s.ready[1:], append(slices.Clip(s.held), item)
	}
	return s
}

// isAll reports whether a list that holds nothing has these values.
func (s queueState) isAll(vals []int64) bool {
	var want []int64
	for _, item := range slices.Concat(s.ready, s.held) {
		want = append(want, item.val)
	}
	slices.Sort(want)
	return slices.Equal(want, slices.Sorted(slices.Values(vals)))
}

// queueClient is one client of a history.
type queueClient struct {
	*noter
	name     string
	put      int64            // items
	claim    int64            // the last one
	ms       int64            // the lease that it asks for
	asked    int64            // when the claim was first asked for without a reply; 0: never
	receipts *[8]atomic.Int64 // some of those that clients have, or had
}

// one sends a random request and notes what it was answered.
func (c *queueClient) one() error {
	c.put++
	val := c.number<<32 | c.put
	in := timedInput{linearInput: linearInput{codec.OpListAppend, []int64{val}}}
	args := []any{c.name, val}
	receipt, ms := c.receipts[c.rng.IntN(len(c.receipts))].Load(), someLease(c.rng, c.longest)
	delay := 1 + c.rng.Int64N(20)
	switch n := c.rng.IntN(16); {
	case n < 4:
	case n < 5:
		in.linearInput = linearInput{codec.OpListPut, []int64{val, delay}}
		args = append(args, delay)
	case n < 11:
		in, args = c.take()
	case n < 13:
		in.linearInput, args = linearInput{codec.OpListAck, []int64{receipt}}, []any{c.name, receipt}
	case n < 14:
		in.linearInput = linearInput{codec.OpListExtendLease, []int64{receipt, ms}}
		args = []any{c.name, receipt, ms}
	default:
		delay *= c.rng.Int64N(2)
		in.linearInput, args = linearInput{codec.OpListNack, []int64{receipt, delay}}, []any{c.name, receipt, delay}
	}
	call := c.now()
	out, known, err := c.ask(in, &codec.Request{Op: in.op, Args: encodeArgs(c, args...)}, c.output)
	switch {
	case err != nil || in.op != codec.OpListTake:
	case !known && c.asked == 0:
		c.asked = call
	case len(out.vals) == 3:
		c.receipts[c.rng.IntN(len(c.receipts))].Store(out.vals[0])
	}
	return err
}

// take makes a TAKE, with a new claim or with the last one again.
func (c *queueClient) take() (in timedInput, args []any) {
	if c.claim == 0 || c.rng.IntN(3) > 0 {
		c.claim, c.ms, c.asked = max(c.claim, c.number<<32)+1, someLease(c.rng, c.longest), 0
	}
	wait := c.rng.Int64N(2) * c.rng.Int64N(8)
	in = timedInput{linearInput: linearInput{codec.OpListTake, []int64{c.claim, wait, c.ms}}, first: c.asked}
	return in, []any{c.name, claimOf(fmt.Sprint(c.claim)), c.ms, wait}
}

func (c *queueClient) output(reply codec.Reply) (linearOutput, error) {
	if reply.Status != codec.StatusOK {
		return c.statusOf(reply, codec.StatusLeaseExpired)
	}
	return linearOutput{vals: c.intsOf(reply.Body)}, nil
}

// queueHistory makes a concurrent history of one list, which is there. If its leases end, its last
// request shows what is left then.
func queueHistory(h *course, name string) ([]porcupine.Operation, error) {
	receipts := new([8]atomic.Int64)
	ops, err := h.run(func(c *noter) func() error {
		return (&queueClient{noter: c, name: name, receipts: receipts}).one
	})
	if err != nil || h.longest == leaseTime {
		return ops, err
	}
	c := &queueClient{noter: h.noter(0), name: name}
	defer c.close()
	c.lossy = 0
	err = tryWithin(testTimeout, c.whole)
	return append(ops, c.ops...), err
}

// whole notes what is in the list, if nothing is held.
func (c *queueClient) whole() error {
	c.ops = nil
	for _, op := range []codec.Opcode{codec.OpListHeld, codec.OpListAll, codec.OpListHeld} {
		in := timedInput{linearInput: linearInput{op, nil}}
		out, known, err := c.ask(in, &codec.Request{Op: op, Args: encodeArgs(c, c.name)}, c.output)
		switch {
		case !known:
			return cmp.Or(err, errors.New("the connection was lost"))
		case op == codec.OpListHeld && !slices.Equal(out.vals, []int64{0, 0}):
			return fmt.Errorf("%v are leased, and delayed", out)
		}
	}
	c.ops = c.ops[1:2]
	return nil
}

// queueHistories makes histories of queues until one has no order, which it returns.
func queueHistories(t *testing.T, rounds int) (wrong []porcupine.Operation) {
	t.Helper()
	seed := conformance.Seed(t)
	srv := startServer(t, nil)
	w := dial(t, srv)
	var v verdicts
	for round := range rounds {
		name := fmt.Sprint("queue ", round)
		w.ok(codec.OpCreateList, name, false)
		ops, err := queueHistory(courseOn(t, srv, seed, round), name)
		if err != nil {
			t.Fatal(err)
		}
		if !v.check(queueModel, ops) {
			return ops
		}
	}
	v.enough(t)
	return nil
}

// TestQueuesLinearizable: concurrent requests on a queue are as if one came after the other: an
// item has one lease at a time, a claim has one item, only its receipt ends a lease before its
// time, and no item is lost. In every other history clients lose their connections in the middle of
// requests.
func TestQueuesLinearizable(t *testing.T) {
	t.Parallel()
	if wrong := queueHistories(t, linearRounds()); wrong != nil {
		t.Errorf("a history has no order:\n%s", textOf(wrong))
	}
}
