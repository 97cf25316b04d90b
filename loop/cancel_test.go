package loop

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// TestCancelInOrder: a request that is sent behind CANCEL finds that the wait has ended.
func TestCancelInOrder(t *testing.T) {
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	subscription := w.ok(codec.OpSubscribe, []any{"c"}, []any{})[0]
	for round := range 100 {
		frames := w.request(codec.OpReceive, subscription, 1, nil)
		waits := w.id
		frames = append(frames, w.request(codec.OpCancel, waits)...)
		frames = append(frames, w.request(codec.OpReceive, subscription, 1, nil)...)
		again := w.id
		w.write(frames)
		status := map[uint32]codec.Status{}
		for range 2 {
			reply, err := w.reply()
			if err != nil {
				t.Fatal(err)
			}
			status[reply.ID] = reply.Status
		}
		if status[waits] != codec.StatusCanceled || status[again-1] != codec.StatusOK {
			t.Fatalf("round %d: %v", round, status)
		}
		other.ok(codec.OpPublish, "c", round)
		if got := decodeAll(t, w.next(again).Body); got[2] != int64(round) {
			t.Fatalf("round %d: %v", round, got)
		}
	}
}

// TestCancelsTakeTurns: as many requests as may wait on one connection can be canceled one by one.
// That takes many quanta: other connections are served in between.
func TestCancelsTakeTurns(t *testing.T) {
	var srv *Server
	var left atomic.Int64 // that wait, when PING is executed
	commands := commandsWith(map[codec.Opcode]engine.Command{codec.OpPing: {Run: func(*engine.Executor) error {
		left.Store(srv.waiting.Load())
		return nil
	}}})
	srv = startServer(t, func(cfg *Config) { cfg.EventLoops, cfg.Commands = 1, commands })
	w, other := dial(t, srv), dial(t, srv)
	other.lock("a", "holder", leaseTime)
	first := fillWaiters(t, srv, w)
	if reply := w.call(codec.OpLock, "a", ownerOf("more"), leaseTime, nil, 1); reply.Status != codec.StatusOverloaded {
		t.Errorf("request %d that waits: %v", maxWaiters+1, reply.Status)
	}
	firstCancel := w.id + 1
	cancels := func(from, n int) (frames []byte) {
		for i := range n {
			frames = append(frames, w.request(codec.OpCancel, int(first)+from+i)...)
		}
		return frames
	}
	const atOnce = 4000 // more than a quantum, less than the buffers of a socket
	held, goOn := make(chan struct{}), make(chan struct{})
	var holding sync.WaitGroup
	holding.Go(func() {
		if err := eachLoop(srv, func(*eventLoop) { close(held); <-goOn }); err != nil {
			t.Error(err)
		}
	})
	<-held
	w.write(cancels(0, atOnce))
	other.write(other.request(codec.OpPing))
	close(goOn)
	holding.Wait()
	other.next(other.id)
	most := int64(quantum/cancelCost + 1)
	if ended := maxWaiters - left.Load(); ended > most {
		t.Errorf("another connection is served after %d CANCELs, want at most %d", ended, most)
	}
	w.write(cancels(atOnce, maxWaiters-atOnce))
	for range 2 * maxWaiters {
		reply, err := w.reply()
		if err != nil {
			t.Fatal(err)
		}
		want := codec.StatusCanceled
		if reply.ID >= firstCancel {
			want = codec.StatusOK
		}
		if reply.Status != want {
			t.Fatalf("request %d: %v, want %v", reply.ID, reply.Status, want)
		}
	}
	waiters(t, srv, 0)
	if n := other.ok(codec.OpLockHolders, "a")[1]; n != int64(0) {
		t.Errorf("%v requests are in the line", n)
	}
}

// awaited are what requests wait for: a request that waits for it, and one that frees it.
var awaited = map[string]struct {
	wait func(w *wire, owner string) []byte
	free func(w *wire) []byte
}{
	"lock": {
		func(w *wire, owner string) []byte {
			return w.request(codec.OpLock, "a", ownerOf(owner), leaseTime, nil, 1)
		},
		func(w *wire) []byte { return w.request(codec.OpUnlock, "a", ownerOf("holder")) },
	},
	"item": {
		func(w *wire, owner string) []byte {
			return w.request(codec.OpListTake, "q", claimOf(owner), leaseTime, nil)
		},
		func(w *wire) []byte { return w.request(codec.OpListAppend, "q", "item") },
	},
	"computation": {
		func(w *wire, owner string) []byte {
			return w.request(codec.OpDictGetOrCompute, "d", "k", ownerOf(owner), leaseTime, 0, nil)
		},
		func(w *wire) []byte { return w.request(codec.OpComputed, "d", "k", ownerOf("holder")) },
	},
}

// TestCancelAtGrant: a request that is canceled just when what it waits for becomes free leaves
// that to the next one in the line, whichever comes first.
func TestCancelAtGrant(t *testing.T) {
	t.Parallel()
	for name, a := range awaited {
		for _, freeFirst := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, free first: %v", name, freeFirst), func(t *testing.T) {
				t.Parallel()
				srv := startServer(t, nil)
				w, next := dial(t, srv), dial(t, srv)
				w.ok(codec.OpCreateDict, "d", false)
				w.ok(codec.OpCreateList, "q", false)
				w.lock("a", "holder", leaseTime)
				w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("holder"), leaseTime, 0, nil)
				w.write(a.wait(w, "canceled"))
				canceled := w.id
				waiters(t, srv, 1)
				next.write(a.wait(next, "next"))
				waiters(t, srv, 2)

				var frames []byte
				if freeFirst {
					frames = a.free(w)
				}
				frames = append(frames, w.request(codec.OpCancel, canceled)...)
				cancel := w.id
				if !freeFirst {
					frames = append(frames, a.free(w)...)
				}
				w.write(frames)
				replies, err := w.replies(canceled, 3)
				if err != nil {
					t.Fatal(err)
				}
				if got := decodeAll(t, replies[cancel-canceled].Body); got[0] != true {
					t.Errorf("CANCEL is answered %v", got)
				}
				if got := replies[0].Status; got != codec.StatusCanceled {
					t.Errorf("the request that was canceled: %v", got)
				}
				if reply := next.next(next.id); reply.Status != codec.StatusOK {
					t.Errorf("the next one: %v", reply.Status)
				}
				waiters(t, srv, 0)
			})
		}
	}
}

// TestCancelRacesGrant: a lock is released on one event loop while the LOCK that waits for it is
// canceled on another. Either the LOCK has it, and CANCEL says that it has ended nothing, or the
// lock is free.
func TestCancelRacesGrant(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	granted := 0
	for round := range 200 {
		other.lock("a", "holder", leaseTime)
		waiting := w.sendLock("a", "waiter", leaseTime)
		waiters(t, srv, 1)
		unlock, cancel := other.request(codec.OpUnlock, "a", ownerOf("holder")), w.request(codec.OpCancel, waiting)
		other.write(unlock)
		w.write(cancel)
		replies, err := w.replies(waiting, 2)
		if err != nil {
			t.Fatal(err)
		}
		other.next(other.id)
		switch ended, status := decodeAll(t, replies[1].Body)[0], replies[0].Status; {
		case ended == true && status == codec.StatusCanceled:
		case ended == false && status == codec.StatusOK:
			granted++
			w.ok(codec.OpUnlock, "a", ownerOf("waiter"))
		default:
			t.Fatalf("round %d: CANCEL is answered %v, the LOCK has %v", round, ended, status)
		}
		if got := w.ok(codec.OpLock, "a", ownerOf("after"), leaseTime, 0, 1); got[0] == nil {
			t.Fatalf("round %d: the lock is not free", round)
		}
		w.ok(codec.OpUnlock, "a", ownerOf("after"))
	}
	t.Logf("of 200 LOCKs %d were granted", granted)
}
