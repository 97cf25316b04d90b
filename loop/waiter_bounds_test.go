package loop

import (
	"fmt"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// fillWaiters makes as many LOCKs of a lock that is held wait as a connection may have, and returns
// the id of the first.
func fillWaiters(t *testing.T, srv *Server, w *wire) (first uint32) {
	t.Helper()
	before := srv.waiting.Load()
	var frames []byte
	for i := range maxWaiters {
		frames = append(frames, w.request(codec.OpLock, "a", ownerOf(fmt.Sprint(i)), leaseTime, nil, 1)...)
		if i == 0 {
			first = w.id
		}
	}
	w.write(frames)
	waiters(t, srv, before+maxWaiters)
	return first
}

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

// TestCancelAll: as many requests as may wait on one connection can be canceled one by one.
func TestCancelAll(t *testing.T) {
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	other.lock("a", "holder", leaseTime)
	first := fillWaiters(t, srv, w)
	if reply := w.call(codec.OpLock, "a", ownerOf("more"), leaseTime, nil, 1); reply.Status != codec.StatusOverloaded {
		t.Errorf("request %d that waits: %v", maxWaiters+1, reply.Status)
	}
	var frames []byte
	for i := range maxWaiters {
		frames = append(frames, w.request(codec.OpCancel, int(first)+i)...)
	}
	before := time.Now()
	w.write(frames)
	for range 2 * maxWaiters {
		reply, err := w.reply()
		if err != nil || reply.Status != codec.StatusOK && reply.Status != codec.StatusCanceled {
			t.Fatal(reply.Status, err)
		}
	}
	t.Logf("%v for each of %d CANCELs", time.Since(before)/maxWaiters, maxWaiters)
	waiters(t, srv, 0)
}

// TestManyWaitersEndInSteps: the end of a connection on which as many requests wait as may be holds
// its event loop no longer than some of them take.
func TestManyWaitersEndInSteps(t *testing.T) {
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	other.lock("a", "holder", leaseTime)
	fillWaiters(t, srv, w)
	if err := eachLoop(srv, func(l *eventLoop) {
		srv.sessions.each(func(s *session) {
			if s.loop != l || len(s.deferred.waiters()) == 0 {
				return
			}
			before := time.Now()
			s.close()
			t.Logf("%v for a step", time.Since(before))
			if ended := maxWaiters - len(s.deferred.waiters()); ended != endedAtOnce {
				t.Errorf("%d waits have ended in one step, want %d", ended, endedAtOnce)
			}
		})
	}); err != nil {
		t.Fatal(err)
	}
	waiters(t, srv, 0)
	if n := other.ok(codec.OpLockHolders, "a")[1]; n != int64(0) {
		t.Errorf("%v requests are in the line", n)
	}
}
