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

// queuedItem is an item of a queue. receipt and claim are 0 while it is not leased.
type queuedItem struct{ val, deliveries, receipt, claim int64 }

// queueState is the state of the model, which is never changed in place.
type queueState struct {
	ready, leased []queuedItem // the first one first
	last          int64        // receipt
}

// queueModel is the sequential meaning of LIST APPEND, TAKE, ACK and NACK on one list, whose leases
// do not end. A TAKE that waits may get nothing though there are items: others stand in line before
// it.
var queueModel = porcupine.Model{
	Init: func() any { return queueState{} },
	Step: func(state, in, out any) (bool, any) {
		return state.(queueState).step(in.(linearInput), out.(linearOutput))
	},
	Equal: func(a, b any) bool {
		s, o := a.(queueState), b.(queueState)
		return s.last == o.last && slices.Equal(s.ready, o.ready) && slices.Equal(s.leased, o.leased)
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v -> %v", in, out) },
}

func (s queueState) step(in linearInput, out linearOutput) (bool, queueState) {
	switch in.op {
	case codec.OpListAppend:
		s.ready = append(slices.Clip(s.ready), queuedItem{val: in.args[0]})
		return out.status == codec.StatusOK, s
	case codec.OpListTake:
		return s.take(in.args[0], in.args[1] > 0, out)
	}
	at := slices.IndexFunc(s.leased, func(item queuedItem) bool { return item.receipt == in.args[0] })
	if at < 0 {
		return out.status == codec.StatusLeaseExpired, s
	}
	item := s.leased[at]
	s.leased = slices.Delete(slices.Clone(s.leased), at, at+1)
	if in.op == codec.OpListNack {
		item.receipt, item.claim = 0, 0
		s.ready = append([]queuedItem{item}, s.ready...)
	}
	return out.status == codec.StatusOK, s
}

func (s queueState) take(claim int64, waits bool, out linearOutput) (bool, queueState) {
	at := slices.IndexFunc(s.leased, func(item queuedItem) bool { return item.claim == claim })
	got := out.vals
	switch {
	case at >= 0:
		item := s.leased[at]
		return slices.Equal(got, []int64{item.receipt, item.deliveries, item.val}), s
	case len(got) == 1:
		return got[0] == absentInt && (len(s.ready) == 0 || waits), s
	case len(got) != 3 || len(s.ready) == 0 || got[0] <= s.last:
		return false, s
	}
	item := s.ready[0]
	item.deliveries++
	item.receipt, item.claim, s.last = got[0], claim, got[0]
	s.ready, s.leased = s.ready[1:], append(slices.Clip(s.leased), item)
	return got[1] == item.deliveries && got[2] == item.val, s
}

// queueClient is one client of a history.
type queueClient struct {
	wire     *wire
	number   int64
	name     string
	claims   int64            // that it has made
	receipts *[8]atomic.Int64 // some of those that clients have, or had
	ops      []porcupine.Operation
}

// one sends a random request and notes what it was answered.
func (c *queueClient) one(rng *rand.Rand, start time.Time) error {
	in := linearInput{codec.OpListAppend, []int64{rng.Int64N(1000)}}
	args := []any{c.name, in.args[0]}
	receipt := c.receipts[rng.IntN(len(c.receipts))].Load()
	switch n := rng.IntN(10); {
	case n < 3:
	case n < 7:
		if c.claims == 0 || rng.IntN(4) > 0 {
			c.claims++
		}
		in = linearInput{codec.OpListTake, []int64{c.number<<32 | c.claims, rng.Int64N(3)}}
		args = []any{c.name, claimOf(fmt.Sprint(in.args[0])), leaseTime, in.args[1]}
	case n < 9:
		in, args = linearInput{codec.OpListAck, []int64{receipt}}, []any{c.name, receipt}
	default:
		in, args = linearInput{codec.OpListNack, []int64{receipt}}, []any{c.name, receipt, 0}
	}
	call := time.Since(start)
	if _, err := c.wire.conn.Write(c.wire.request(in.op, args...)); err != nil {
		return err
	}
	reply, err := c.wire.reply()
	if err != nil {
		return err
	}
	out := linearOutput{status: reply.Status}
	switch reply.Status {
	case codec.StatusOK:
		for _, v := range decodeAll(c.wire, reply.Body) {
			n, isInt := v.(int64)
			if !isInt {
				n = absentInt
			}
			out.vals = append(out.vals, n)
		}
	case codec.StatusLeaseExpired:
	default:
		_, err := codec.ParseErrorBody(reply.Status, reply.Body)
		return fmt.Errorf("%v: %v: %w", in, reply.Status, err)
	}
	if in.op == codec.OpListTake && len(out.vals) == 3 {
		c.receipts[rng.IntN(len(c.receipts))].Store(out.vals[0])
	}
	c.ops = append(c.ops, porcupine.Operation{
		ClientId: int(c.number), Input: in, Output: out, Call: int64(call), Return: int64(time.Since(start)),
	})
	return nil
}

// queueHistory makes a concurrent history of one list.
func queueHistory(t *testing.T, conns []*wire, name string, seed uint64) (ops []porcupine.Operation) {
	t.Helper()
	conns[0].ok(codec.OpCreateList, name, false)
	start, receipts := time.Now(), new([8]atomic.Int64)
	clients := make([]*queueClient, len(conns))
	failed := make([]error, len(conns))
	var all sync.WaitGroup
	for i, w := range conns {
		c := &queueClient{wire: w, number: int64(i), name: name, receipts: receipts}
		clients[i] = c
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for n := 0; n < 12 && failed[i] == nil; n++ {
				failed[i] = c.one(rng, start)
			}
		})
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		ops = append(ops, c.ops...)
	}
	return ops
}

// queueHistories makes histories of queues until one has no order, which it returns.
func queueHistories(t *testing.T, rounds int) (wrong []porcupine.Operation) {
	t.Helper()
	seed := conformance.Seed(t)
	srv := startServer(t, nil)
	conns := make([]*wire, 5)
	for i := range conns {
		conns[i] = dial(t, srv)
	}
	undecided := 0
	for round := range rounds {
		ops := queueHistory(t, conns, fmt.Sprint("queue ", round), seed+uint64(round))
		switch porcupine.CheckOperationsTimeout(queueModel, ops, linearTimeout) {
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

// TestQueuesLinearizable: concurrent requests on a queue are as if one came after the other: an
// item has one lease at a time, a claim has one item, and only its receipt ends a lease.
func TestQueuesLinearizable(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	if conformance.Long() {
		rounds = 2000
	}
	for _, op := range queueHistories(t, rounds) {
		t.Errorf("%8d to %8d ns, client %d: %v -> %v", op.Call, op.Return, op.ClientId, op.Input, op.Output)
	}
}
