package client

import (
	"context"
	"errors"
	"testing"

	"cyberdb-fast/codec"
)

// TestWhichFenceIsLost computes a value while a lock is held. The server refuses the value: the
// caller gets an error if the lock is lost, none if it is the right to compute.
func TestWhichFenceIsLost(t *testing.T) {
	for name, lockIsLost := range map[string]bool{"the lock": true, "the right to compute": false} {
		p := startPeer(t)
		fences := make(chan int, 10) // of DICT SET and COMPUTED
		p.answer = func(_ *peer, req codec.Request) []byte {
			all, err := codec.ParseExtensions(nil, req.Extensions)
			if err != nil {
				t.Error(err)
			}
			lost := failure(req.ID, &codec.Error{Status: codec.StatusLockLost, Key: []byte{0}})
			switch req.Op {
			case codec.OpDictGetOrCompute:
				return ok(req.ID, encoded(t, computeAbsent, 9))
			case codec.OpDictSet:
				fences <- len(all)
				return lost
			case codec.OpComputed:
				fences <- len(all)
				return ok(req.ID, encoded(t, lockIsLost))
			case codec.OpPing:
				if len(all) == 1 && lockIsLost {
					return lost
				}
			}
			return ok(req.ID, nil)
		}
		d := DictOf[string, int](dialPeer(t, p, nil), "d")
		ctx, compute := IfFence(testContext(t), "L", 7), func(context.Context) (int, error) { return 42, nil }
		v, err := d.GetOrCompute(ctx, "k", ComputeOptions{}, compute)
		if v != 42 || errors.Is(err, ErrLockLost) != lockIsLost || err != nil && !lockIsLost {
			t.Errorf("%s is lost: got %d, %v", name, v, err)
		}
		if set, computed := <-fences, <-fences; set != 2 || computed != 0 {
			t.Errorf("DICT SET has %d fences, COMPUTED %d", set, computed)
		}
	}
}
