package loop

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// waitingLocks returns the frames of n LOCKs, of owners with numbers from from on.
func (w *wire) waitingLocks(from, n int) (frames []byte) {
	w.Helper()
	for i := range n {
		frames = append(frames, w.request(codec.OpLock, "a", ownerOf(fmt.Sprint(from+i)), leaseTime, nil, 1)...)
	}
	return frames
}

// fillWaiters makes as many LOCKs of a lock that is held wait as a connection may have, and returns
// the id of the first.
func fillWaiters(t *testing.T, srv *Server, w *wire) (first uint32) {
	t.Helper()
	before := srv.waiting.Load()
	first = w.id + 1
	w.write(w.waitingLocks(0, maxWaiters))
	waiters(t, srv, before+maxWaiters)
	return first
}

// TestManyWaitersEndInSteps: the ends of two connections on which as many requests wait as may be
// hold their event loop no longer than some of them take, again and again.
func TestManyWaitersEndInSteps(t *testing.T) {
	srv := startServer(t, func(cfg *Config) { cfg.EventLoops = 1 })
	other := dial(t, srv)
	other.lock("a", "holder", leaseTime)
	for i := range 2 {
		w := dial(t, srv)
		w.write(w.waitingLocks(i*maxWaiters, maxWaiters))
		waiters(t, srv, int64((i+1)*maxWaiters))
	}
	if err := eachLoop(srv, func(l *eventLoop) {
		left := srv.waiting.Load()
		step := func(want int64, end func()) {
			before := time.Now()
			end()
			t.Logf("%v for a step", time.Since(before))
			if ended := left - srv.waiting.Load(); ended != want {
				t.Errorf("%d waits have ended in one step, want %d", ended, want)
			}
			left = srv.waiting.Load()
		}
		step(2*endedFirst, func() {
			srv.sessions.each(func(s *session) {
				if s.loop == l && len(s.deferred.waiters()) > 0 {
					s.close()
				}
			})
		})
		for range 2*maxWaiters/endedAtOnce - 2 {
			step(endedAtOnce, l.endMore)
		}
	}); err != nil {
		t.Fatal(err)
	}
	waiters(t, srv, 0)
	if n := other.ok(codec.OpLockHolders, "a")[1]; n != int64(0) {
		t.Errorf("%v requests are in the line", n)
	}
}

// TestStopEndsManyWaits: a server that stops refuses all requests that wait, and none twice. It
// ends soon after that, and the lock for which they wait keeps its holder.
func TestStopEndsManyWaits(t *testing.T) {
	t.Parallel()
	const conns, each = 4, 4096
	disk := newDisk()
	srv := keptServer(t, disk, nil)
	holder := dial(t, srv)
	fence := holder.lock("a", "holder", leaseTime)
	holder.ok(codec.OpCreateList, "q", false)
	all, firsts := make([]*wire, conns), make([]uint32, conns)
	for i := range all {
		w := dial(t, srv)
		all[i], firsts[i] = w, w.id+1
		frames := w.waitingLocks(i*each, each/2)
		for j := range each / 2 {
			frames = append(frames, w.request(codec.OpListTake, "q", claimOf(fmt.Sprint(i*each+j)), leaseTime, nil)...)
		}
		w.write(frames)
	}
	waiters(t, srv, conns*each)
	began, ended := time.Now(), make(chan error, 1)
	go func() { ended <- srv.Stop(context.Background()) }()
	for i, w := range all {
		replies, err := w.replies(firsts[i], each)
		if err != nil {
			t.Fatal(err)
		}
		for _, reply := range replies {
			if reply.Status != codec.StatusShuttingDown {
				t.Fatalf("request %d: %v", reply.ID, reply.Status)
			}
		}
	}
	for _, w := range append(all, holder) {
		if !w.closed() || len(w.in) > 0 {
			t.Errorf("after the replies there are %d bytes, and no end of the connection", len(w.in))
		}
		_ = w.conn.Close()
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("%d waits and the server have ended after %v", conns*each, took)
	}
	if n := srv.waiting.Load(); n != 0 {
		t.Errorf("%d requests wait", n)
	}
	again := dial(t, keptServer(t, disk, nil))
	if got := again.lock("a", "holder", leaseTime); got != fence {
		t.Errorf("after a restart the holder has fence %d, had %d", got, fence)
	}
	if n := again.ok(codec.OpListHeld, "q"); n[0] != int64(0) {
		t.Errorf("%v items are leased", n[0])
	}
}

// TestAllWaiters: a server lets so many requests of all connections wait, and refuses more. Once
// they are over, others may wait, and their memory is free.
func TestAllWaiters(t *testing.T) {
	most, conns := 20_000, 10
	if conformance.Long() {
		most, conns = maxAllWaiters, maxAllWaiters/maxWaiters+1
	}
	srv := startLimited(t, func(cfg *Config) { cfg.MaxConns = 200 }, func(l *limits) {
		l.waiters, l.inputBytes = int64(most), 1<<30
	})
	last := dial(t, srv)
	last.lock("a", "holder", leaseTime)
	all := make([]*wire, conns)
	for i := range all {
		all[i] = dial(t, srv)
		all[i].ok(codec.OpPing)
	}
	before := int64(heapInUse().HeapAlloc)
	for i, w := range all {
		from := i * most / conns
		w.write(w.waitingLocks(from, (i+1)*most/conns-from))
	}
	waiters(t, srv, int64(most))
	if each := (int64(heapInUse().HeapAlloc) - before) / int64(most); each > 1024 {
		t.Errorf("a request that waits takes %d bytes", each)
	}
	e := last.fails(codec.StatusOverloaded, codec.OpLock, "a", ownerOf("more"), leaseTime, nil, 1)
	if !strings.Contains(e.Message, strconv.Itoa(most)) {
		t.Errorf("%q does not name the limit", e.Message)
	}
	if got := last.ok(codec.OpLock, "b", ownerOf("more"), leaseTime, nil, 1); got[0] == nil {
		t.Error("a lock that is free is refused")
	}
	for _, w := range all {
		_ = w.conn.Close()
	}
	waiters(t, srv, 0)
	within(t, testTimeout, func() error {
		if left := int64(heapInUse().HeapAlloc) - before; left > int64(most)*100 {
			return fmt.Errorf("%d bytes are left", left)
		}
		return nil
	})
	id := last.sendLock("a", "more", leaseTime)
	waiters(t, srv, 1)
	dial(t, srv).ok(codec.OpUnlock, "a", ownerOf("holder"))
	last.fence(id)
}

// TestManyCallersComputeOnce: 10,000 that ask for a key on many connections cause one computation,
// and all have its value.
func TestManyCallersComputeOnce(t *testing.T) {
	const conns, each = 25, 400
	srv := startServer(t, nil)
	first := dial(t, srv)
	first.ok(codec.OpCreateDict, "d", false)
	got := first.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("first"), leaseTime, 0, nil)
	if got[0] != int64(3) {
		t.Fatalf("the first one is answered %v", got)
	}
	all := make([]*wire, conns)
	for i := range all {
		w := dial(t, srv)
		all[i] = w
		var frames []byte
		for j := range each {
			owner := ownerOf(fmt.Sprint(i*each + j))
			frames = append(frames, w.request(codec.OpDictGetOrCompute, "d", "k", owner, leaseTime, 0, nil)...)
		}
		w.write(frames)
	}
	waiters(t, srv, conns*each)
	began := time.Now()
	first.ok(codec.OpDictSet, "d", "k", "made")
	first.ok(codec.OpComputed, "d", "k", ownerOf("first"))
	var reads sync.WaitGroup
	for _, w := range all {
		reads.Go(func() {
			for range each {
				reply, err := w.reply()
				if got := decodeAll(t, reply.Body); err != nil || fmt.Sprint(got) != "[0 made]" {
					t.Errorf("one that has waited is answered %v, %v", got, err)
					return
				}
			}
		})
	}
	reads.Wait()
	t.Logf("%d have the value after %v", conns*each, time.Since(began))
	waiters(t, srv, 0)
}
