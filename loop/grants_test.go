package loop

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"cyberdb-fast/codec"
)

// stall makes a client's connection full of replies that it does not read, so that further replies
// stay in the server.
func stall(t *testing.T, w *wire) {
	t.Helper()
	if tcp, ok := w.conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	w.ok(codec.OpCreateDict, "large", true, "k", strings.Repeat("x", 200<<10))
	for range 60 {
		w.write(w.request(codec.OpDictGet, "large", "k"))
	}
}

// TestUnsentGrant: a lock whose grant could not be sent is free once the connection ends, long
// before its lease does.
func TestUnsentGrant(t *testing.T) {
	if *encrypted {
		t.Skip("the replies are those of a connection in clear text")
	}
	srv := startServer(t, nil)
	w, gone := dial(t, srv), dial(t, srv)
	stall(t, gone)
	gone.write(gone.request(codec.OpLock, "a", ownerOf("gone"), leaseTime, nil, 1))
	holders := func() int { return len(w.ok(codec.OpLockHolders, "a")[0].([]any)) }
	within(t, testTimeout, func() error {
		if holders() != 1 {
			return fmt.Errorf("the lock is not granted")
		}
		return nil
	})
	id := w.sendLock("a", "next", leaseTime)
	waiters(t, srv, 1)
	_ = gone.conn.Close()
	w.fence(id)
}

// TestUnsentGrantAgain: a grant that could not be sent stays if its owner asks for it again before
// the connection ends.
func TestUnsentGrantAgain(t *testing.T) {
	if *encrypted {
		t.Skip("the replies are those of a connection in clear text")
	}
	srv := startServer(t, nil)
	w, gone := dial(t, srv), dial(t, srv)
	stall(t, gone)
	gone.write(gone.request(codec.OpLock, "a", ownerOf("same"), leaseTime, nil, 1))
	within(t, testTimeout, func() error {
		if len(w.ok(codec.OpLockHolders, "a")[0].([]any)) != 1 {
			return fmt.Errorf("the lock is not granted")
		}
		return nil
	})
	fence := w.lock("a", "same", leaseTime)
	_ = gone.conn.Close()
	within(t, testTimeout, func() error {
		if n := srv.conns.Load(); n != 1 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	srv.background.Wait()
	if got := w.ok(codec.OpRenewLock, "a", ownerOf("same"), leaseTime); got[0] != fence {
		t.Errorf("the lock has fence %v, had %d", got, fence)
	}
}

// TestSentGrantStays: what the kernel has taken is held until its lease ends, though the client is
// gone.
func TestSentGrantStays(t *testing.T) {
	srv := startServer(t, nil)
	w, gone := dial(t, srv), dial(t, srv)
	fence := gone.lock("a", "gone", leaseTime)
	_ = gone.conn.Close()
	within(t, testTimeout, func() error {
		if n := srv.conns.Load(); n != 1 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	srv.background.Wait()
	if got := w.lock("a", "gone", leaseTime); got != fence {
		t.Errorf("the lock has fence %d, had %d", got, fence)
	}
}

// TestFence: a request with IF FENCE is executed while its lock is held with that fence, and not
// after, whatever it is.
func TestFence(t *testing.T) {
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false, "k", 0)
	w.ok(codec.OpCreateDict, "c", false)
	w.ok(codec.OpCreateList, "l", false, 1, 2)
	fenced := func(number int64, op codec.Opcode, args ...any) codec.Reply {
		w.id++
		w.write(codec.AppendRequest(nil, &codec.Request{
			ID: w.id, Op: op, Flags: codec.FlagExtensions, Args: encodeArgs(t, args...),
			Extensions: codec.AppendFence(nil, &codec.Fence{Number: uint64(number), Lock: []byte("a")}),
		}))
		return w.next(w.id)
	}
	all := map[codec.Opcode][]any{
		codec.OpPing: nil, codec.OpDictGet: {"d", "k"}, codec.OpDictSet: {"d", "k", 1}, codec.OpListAll: {"l"},
		codec.OpTables: nil, codec.OpCreateDict: {"d", true}, codec.OpInfo: {"dicts"}, codec.OpListPop: {"l"},
		codec.OpLock: {"a", ownerOf("one"), leaseTime, nil, 1}, codec.OpDictClear: {"c"},
	}
	for op, args := range all {
		if reply := fenced(7, op, args...); reply.Status != codec.StatusLockLost {
			t.Errorf("%v with a fence of a lock that is free: %v", op, reply.Status)
		}
	}
	if got := w.ok(codec.OpDictGet, "d", "k"); got[0] != int64(0) {
		t.Errorf("a request that was refused has changed an entry to %v", got)
	}
	fence := w.lock("a", "one", leaseTime)
	for op, args := range all {
		if reply := fenced(fence, op, args...); reply.Status != codec.StatusOK {
			t.Errorf("%v with the present fence: %v", op, reply.Status)
		}
	}
	w.ok(codec.OpUnlock, "a", ownerOf("one"))
	later := w.lock("a", "two", leaseTime)
	reply := fenced(fence, codec.OpPing)
	e, err := codec.ParseErrorBody(reply.Status, reply.Body)
	if err != nil || reply.Status != codec.StatusLockLost || decodeAll(t, e.Key)[0] != later {
		t.Errorf("with an older fence: %v, %v, %v; the present one is %d", reply.Status, e, err, later)
	}
	if reply := fenced(later, codec.OpListPop, "l", -1, nil); reply.Status != codec.StatusOK {
		t.Errorf("LIST POP that may wait, with the present fence: %v", reply.Status)
	}
}
