package loop

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

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
	t.Parallel()
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
	within(t, testTimeout, func() error {
		if n := srv.Info().GrantsReturned; n != 1 {
			return fmt.Errorf("INFO says that %d grants were given back", n)
		}
		return nil
	})
}

// TestUnsentGrantAgain: a grant that could not be sent stays if its owner asks for it again before
// the connection ends.
func TestUnsentGrantAgain(t *testing.T) {
	t.Parallel()
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

// acquisitions are the requests that acquire something for the owner "one", what holds if it has
// it, and what holds if it does not.
var acquisitions = map[string]struct {
	acquire     func(w *wire) []byte
	held, freed func(w *wire) bool
}{
	"lock": {
		func(w *wire) []byte { return w.request(codec.OpLock, "a", ownerOf("one"), leaseTime, nil, 1) },
		func(w *wire) bool { return len(w.ok(codec.OpLockHolders, "a")[0].([]any)) == 1 },
		func(w *wire) bool { return len(w.ok(codec.OpLockHolders, "a")[0].([]any)) == 0 },
	},
	"item": {
		func(w *wire) []byte { return w.request(codec.OpListTake, "q", ownerOf("one"), leaseTime, nil) },
		func(w *wire) bool { return w.ok(codec.OpListHeld, "q")[0] == int64(1) },
		func(w *wire) bool { return slices.Equal(w.ok(codec.OpListAll, "q"), []any{"item"}) },
	},
	"computation": {
		func(w *wire) []byte {
			return w.request(codec.OpDictGetOrCompute, "d", "k", ownerOf("one"), leaseTime, 0, nil)
		},
		func(w *wire) bool {
			return w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("two"), 1, 0, 0)[0] == int64(4)
		},
		func(w *wire) bool {
			w.ok(codec.OpComputed, "d", "k", ownerOf("two"))
			return w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("two"), leaseTime, 0, 0)[0] == int64(3)
		},
	},
}

// eachAcquisition calls test for each of acquisitions, on a server of its own. unsent sends it on a
// connection that does not read its reply, and returns when it was executed.
func eachAcquisition(t *testing.T, test func(t *testing.T, srv *Server, w *wire, acquire func(w *wire) []byte,
	unsent func() *wire, held, freed func() bool),
) {
	if *encrypted {
		t.Skip("the replies are those of a connection in clear text")
	}
	for name, a := range acquisitions {
		t.Run(name, func(t *testing.T) {
			srv := startServer(t, nil)
			w := dial(t, srv)
			w.ok(codec.OpCreateDict, "d", false)
			w.ok(codec.OpCreateDict, "done", false, 0, 0)
			w.ok(codec.OpCreateList, "q", false, "item")
			done := int64(0)
			unsent := func() *wire {
				other := dial(t, srv)
				stall(t, other)
				other.write(append(a.acquire(other), other.request(codec.OpDictIncrement, "done", 0, 1)...))
				done++
				w.until([]any{done}, codec.OpDictGet, "done", 0)
				return other
			}
			test(t, srv, w, a.acquire, unsent, func() bool { return a.held(w) }, func() bool { return a.freed(w) })
		})
	}
}

// endOf closes a connection and waits until what it held was given back.
func endOf(t *testing.T, srv *Server, w *wire) {
	t.Helper()
	n := srv.conns.Load()
	_ = w.conn.Close()
	within(t, testTimeout, func() error {
		if now := srv.conns.Load(); now != n-1 {
			return fmt.Errorf("%d connections", now)
		}
		return nil
	})
	time.Sleep(50 * time.Millisecond) // the rest of OnClose
	within(t, testTimeout, func() error {
		if n := srv.backgroundJobs.Load(); n > 0 {
			return fmt.Errorf("%d jobs in the background", n)
		}
		return nil
	})
}

// TestRepeatNotSent: what an owner has stays if it asks for it again and that reply cannot be sent.
func TestRepeatNotSent(t *testing.T) {
	t.Parallel()
	eachAcquisition(t, func(t *testing.T, srv *Server, w *wire, acquire func(*wire) []byte, unsent func() *wire,
		held, _ func() bool,
	) {
		w.write(acquire(w))
		w.next(w.id)
		endOf(t, srv, unsent())
		if !held() {
			t.Error("it was given back, and its owner had the first reply")
		}
	})
}

// TestNoReplySent: what was granted is given back once the last connection ends that could have
// told its owner of it.
func TestNoReplySent(t *testing.T) {
	t.Parallel()
	eachAcquisition(t, func(t *testing.T, srv *Server, _ *wire, _ func(*wire) []byte, unsent func() *wire,
		held, freed func() bool,
	) {
		first, second := unsent(), unsent()
		endOf(t, srv, second)
		if !held() {
			t.Error("it was given back, and a reply may be sent yet")
		}
		endOf(t, srv, first)
		if !freed() {
			t.Error("it was not given back")
		}
	})
}

// TestUnsentAfterRename: an item whose list was renamed meanwhile is given back too.
func TestUnsentAfterRename(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, gone := dial(t, srv), dial(t, srv)
	w.ok(codec.OpCreateList, "q", false, make([]byte, 16<<20))
	gone.write(gone.request(codec.OpListTake, "q", claimOf("gone"), leaseTime, nil))
	w.until([]any{int64(1), int64(0)}, codec.OpListHeld, "q")
	w.ok(codec.OpRename, "q", "renamed")
	w.ok(codec.OpCreateList, "q", false)
	_ = gone.conn.Close()
	w.until([]any{int64(0), int64(0)}, codec.OpListHeld, "renamed")
	if n := w.ok(codec.OpListLen, "renamed"); n[0] != int64(1) {
		t.Errorf("the list has %v items", n)
	}
}

// TestUnsentGrantsBounded: a client that does not read its replies can have so many grants, and no
// more. What is beyond is free.
func TestUnsentGrantsBounded(t *testing.T) {
	t.Parallel()
	if *encrypted {
		t.Skip("the replies are those of a connection in clear text")
	}
	const most, beyond = 16 << 10, 100
	srv := startServer(t, nil)
	w, gone := dial(t, srv), dial(t, srv)
	w.ok(codec.OpCreateDict, "done", false, 0, 0)
	stall(t, gone)
	var requests []byte
	for i := range most + beyond {
		requests = append(requests, gone.request(codec.OpLock, fmt.Sprint(i), ownerOf("one"), leaseTime, 0, 1)...)
	}
	gone.write(append(requests, gone.request(codec.OpDictIncrement, "done", 0, 1)...))
	w.until([]any{int64(1)}, codec.OpDictGet, "done", 0)
	held := func(i int) bool { return len(w.ok(codec.OpLockHolders, fmt.Sprint(i))[0].([]any)) == 1 }
	for i, want := range map[int]bool{0: true, most - 1: true, most: false, most + beyond - 1: false} {
		if got := held(i); got != want {
			t.Errorf("lock %d is held: %v", i, got)
		}
	}
	endOf(t, srv, gone)
	for _, i := range []int{0, most - 1} {
		if held(i) {
			t.Errorf("lock %d was not given back", i)
		}
	}
}

// TestSentGrantStays: what the kernel has taken is held until its lease ends, though the client is
// gone.
func TestSentGrantStays(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
