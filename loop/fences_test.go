package loop

import (
	"fmt"
	"testing"

	"cyberdb-fast/codec"
)

// fenceRequest returns a request with the fences of the lock "a" and of the lease to compute "k" of
// "d", in one order or the other.
func fenceRequest(t testing.TB, lock, lease int64, leaseFirst bool, op codec.Opcode, args ...any) codec.Request {
	first := codec.AppendFence(nil, &codec.Fence{Number: uint64(lock), Lock: []byte("a")})
	second := codec.AppendFence(nil, &codec.Fence{
		Number: uint64(lease), Table: []byte("d"), Key: encodeArgs(t, "k"),
	})
	if leaseFirst {
		first, second = second, first
	}
	return codec.Request{
		Op: op, Flags: codec.FlagExtensions, Extensions: append(first, second...), Args: encodeArgs(t, args...),
	}
}

// fenced sends such a request and returns its reply.
func (w *wire) fenced(lock, lease int64, leaseFirst bool, op codec.Opcode, args ...any) codec.Reply {
	w.Helper()
	w.id++
	req := fenceRequest(w, lock, lease, leaseFirst, op, args...)
	req.ID = w.id
	w.write(codec.AppendRequest(nil, &req))
	return w.next(w.id)
}

// TestTwoFences: a request with the fences of a lock and of a computation is executed while both
// are held, and not if one of them is lost.
func TestTwoFences(t *testing.T) {
	t.Parallel()
	w := dial(t, startServer(t, nil))
	w.ok(codec.OpCreateDict, "d", false, "other", "")
	lock := w.lock("a", "one", leaseTime)
	lease := w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("one"), leaseTime, 0, nil)[1].(int64)
	for _, leaseFirst := range []bool{false, true} {
		for name, test := range map[string]struct {
			lock, lease int64
			present     int64 // 0: it is executed
		}{
			"both held":           {lock, lease, 0},
			"another lock":        {lock + 1<<20, lease, lock},
			"another lease":       {lock, lease + 1<<20, lease},
			"neither":             {lock + 1<<20, lease + 1<<20, lock},
			"exchanged":           {lease, lock, lock},
			"the request holds a": {lock, lease, 0},
		} {
			op, args := codec.OpDictSet, []any{"d", "other", name}
			if name == "the request holds a" {
				op, args = codec.OpLock, []any{"a", ownerOf("one"), leaseTime, nil, 1}
			}
			reply := w.fenced(test.lock, test.lease, leaseFirst, op, args...)
			if test.present == 0 {
				if reply.Status != codec.StatusOK {
					t.Errorf("%s, lease first: %v: %v", name, leaseFirst, reply.Status)
				}
				continue
			}
			e, err := codec.ParseErrorBody(reply.Status, reply.Body)
			if err != nil || reply.Status != codec.StatusLockLost || decodeAll(t, e.Key)[0] != test.present {
				t.Errorf("%s, lease first: %v: %v, %v, %v", name, leaseFirst, reply.Status, e, err)
			}
			if got := w.ok(codec.OpDictGet, "d", "other"); got[0] == name {
				t.Errorf("%s, lease first: %v: it was executed", name, leaseFirst)
			}
		}
	}
	w.ok(codec.OpUnlock, "a", ownerOf("one"))
	if reply := w.fenced(lock, lease, false, codec.OpPing); reply.Status != codec.StatusLockLost {
		t.Errorf("after the lock was released: %v", reply.Status)
	}
}

// TestTwoFencesDoNotLock has connections that need the same two gates, and name them in either
// order, beside requests that need one of them. All are answered.
func TestTwoFencesDoNotLock(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	lock := w.lock("a", "one", leaseTime)
	lease := w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("one"), leaseTime, 0, nil)[1].(int64)
	answered := func(i int, w *wire) error {
		fence := fenceRequest(t, lock, lease, i%2 == 0, codec.OpDictSet, "d", i, "v")
		for range 500 {
			req := fence
			switch i {
			case 4:
				req = codec.Request{Op: codec.OpLock, Args: encodeArgs(t, "a", ownerOf("two"), leaseTime, 0, 1)}
			case 5:
				args := encodeArgs(t, "d", "k", ownerOf("two"), leaseTime, 0, 0)
				req = codec.Request{Op: codec.OpDictGetOrCompute, Args: args}
			}
			if _, err := w.conn.Write(codec.AppendRequest(nil, &req)); err != nil {
				return err
			}
			if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
				return fmt.Errorf("connection %d: %v, %w", i, reply.Status, err)
			}
		}
		return nil
	}
	const connections = 6
	failed := make(chan error, connections)
	for i := range connections {
		w := dial(t, srv)
		go func() { failed <- answered(i, w) }()
	}
	for range connections {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
