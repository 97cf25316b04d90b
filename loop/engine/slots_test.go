package engine_test

import (
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
)

// lockDoor is a door for requests about one lock.
type lockDoor struct {
	*door
	id uint32
}

// send executes a request, with a fence of the lock if it is not 0.
func (d *lockDoor) send(fence uint64, op codec.Opcode, args ...any) (status codec.Status, body []byte, cost int) {
	d.Helper()
	d.id++
	req := codec.Request{ID: d.id, Op: op}
	for _, arg := range args {
		var err error
		if req.Args, err = govalue.Append(req.Args, arg); err != nil {
			d.Fatal(err)
		}
	}
	if fence != 0 {
		req.Flags = codec.FlagExtensions
		req.Extensions = codec.AppendFence(nil, &codec.Fence{Number: fence, Lock: []byte("a")})
	}
	before := d.exec.Cost
	reply := d.requests(codec.AppendRequest(nil, &req))[0]
	return reply.Status, reply.Body, d.exec.Cost - before
}

// lock takes one of n slots, and returns the fence.
func (d *lockDoor) lock(owner byte, n int) uint64 {
	d.Helper()
	status, body, _ := d.send(0, codec.OpLock, "a", append(make([]byte, 15), owner), 60_000, 0, n)
	fence, _, err := govalue.Decode(body)
	if status != codec.StatusOK || err != nil {
		d.Fatal(status, err)
	}
	return uint64(fence.(int64))
}

// TestStaleFenceCost: what it takes to see that a fence is stale is counted. It is little once the
// lock is known to have no other slot than the first; a slot that is granted later is found.
func TestStaleFenceCost(t *testing.T) {
	d := &lockDoor{door: newDoor(t, nil)}
	const oneLook, allLooks = 1000, 60_000
	fence := d.lock(1, 1)
	for i, least := range []int{allLooks, 0, 0} {
		status, _, cost := d.send(fence+1000, codec.OpPing)
		if status != codec.StatusLockLost || cost < least || i > 0 && cost > oneLook {
			t.Errorf("stale fence, time %d: %v, cost %d", i, status, cost)
		}
	}
	if status, _, cost := d.send(fence, codec.OpPing); status != codec.StatusOK || cost > oneLook {
		t.Errorf("the present fence: %v, cost %d", status, cost)
	}
	second := d.lock(2, 2)
	for _, f := range []uint64{fence, second} {
		if status, _, _ := d.send(f, codec.OpPing); status != codec.StatusOK {
			t.Errorf("a fence of a semaphore: %v", status)
		}
	}
	d.send(0, codec.OpUnlock, "a", append(make([]byte, 15), 2))
	if status, _, _ := d.send(second, codec.OpPing); status != codec.StatusLockLost {
		t.Errorf("the fence of a slot that is free: %v", status)
	}
	d.send(0, codec.OpDrop, "cyberdb:locks")
	d.lock(1, 1)
	if third := d.lock(3, 5); third <= second {
		t.Errorf("fence %d after %d", third, second)
	} else if status, _, _ := d.send(third, codec.OpPing); status != codec.StatusOK {
		t.Errorf("a fence after DROP: %v", status)
	}
}

// TestLeaseOverAtOnce: a lease that is over before its request is answered is granted all the same:
// the request gets its fence, and the next one gets a greater one.
func TestLeaseOverAtOnce(t *testing.T) {
	d := &lockDoor{door: newDoor(t, func(env *engine.Env) { env.Store.SetNow(200_000) })}
	d.exec.Call().Time = 1000 // a lease is 60,000
	last := uint64(0)
	for range 3 {
		fence := d.lock(1, 1)
		if fence <= last {
			t.Errorf("fence %d after %d", fence, last)
		}
		last = fence
	}
}
