package loop

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// TestNoWakeUpIsLost: clients that lock and unlock all the time always get the lock: none sleeps
// while it is free.
func TestNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	var locked atomic.Int64
	end := time.Now().Add(time.Second)
	var all sync.WaitGroup
	for i := range 3 {
		w, owner := dial(t, srv), ownerOf(fmt.Sprint(i))
		all.Go(func() {
			for time.Now().Before(end) {
				for _, request := range [][]byte{
					w.request(codec.OpLock, "a", owner, leaseTime, nil, 1), w.request(codec.OpUnlock, "a", owner),
				} {
					_ = w.conn.SetReadDeadline(time.Now().Add(testTimeout))
					w.write(request)
					if _, err := w.reply(); err != nil {
						t.Errorf("after %d locks: %v", locked.Load(), err)
						return
					}
				}
				locked.Add(1)
			}
		})
	}
	all.Wait()
}

// TestWaitsForSomethingElse: a request that waits for its turn, and when it is executed once more
// for a gate, is woken by the gate. It is that each time it waits for the other of the two.
func TestWaitsForSomethingElse(t *testing.T) {
	t.Parallel()
	const changes = 4
	var runs atomic.Int64
	registered := make(chan func(), changes+2)
	run := func(x *engine.Executor) error {
		n := runs.Add(1)
		if n > changes+2 {
			return nil
		}
		return x.WaitFor(engine.Wait{Outside: min(n, changes)%2 == 0, When: func(wake func()) func() {
			registered <- wake
			return func() {}
		}})
	}
	w := dial(t, startServer(t, func(cfg *Config) {
		cfg.Commands = commandsWith(map[codec.Opcode]engine.Command{opSleep: {Run: run}})
	}))
	w.write(w.request(opSleep))
	var last func()
	for range changes {
		select {
		case last = <-registered:
		case <-time.After(testTimeout):
			t.Fatalf("after %d executions nothing wakes the request", runs.Load())
		}
	}
	last()
	w.next(w.id)
}

// holdGate keeps the gate of a lock shut: a request with its fence is executed in the background
// until open is called.
func holdGate(t *testing.T, name string) (srv *Server, fence int64, open func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	srv = startServer(t, func(cfg *Config) {
		cfg.Commands = commandsWith(map[codec.Opcode]engine.Command{opSleep: {Run: func(x *engine.Executor) error {
			if !x.Call().MayBlock {
				return shardmap.ErrLong
			}
			close(begun)
			<-end
			return nil
		}}})
	})
	w := dial(t, srv)
	fence = w.lock(name, "holder", leaseTime)
	w.write(w.fencedRequest(name, fence, opSleep))
	<-begun
	return srv, fence, sync.OnceFunc(func() { close(end) })
}

// fencedRequest returns a request with IF FENCE of a lock.
func (w *wire) fencedRequest(name string, fence int64, op codec.Opcode, args ...any) []byte {
	w.Helper()
	w.id++
	return codec.AppendRequest(nil, &codec.Request{
		ID: w.id, Op: op, Flags: codec.FlagExtensions, Args: encodeArgs(w, args...),
		Extensions: codec.AppendFence(nil, &codec.Fence{Number: uint64(fence), Lock: []byte(name)}),
	})
}

// TestFencedPipeline: the requests of a connection are executed in their order, though the first
// one has IF FENCE and must wait for another with the same fence.
func TestFencedPipeline(t *testing.T) {
	t.Parallel()
	srv, fence, open := holdGate(t, "a")
	defer open()
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	set := w.fencedRequest("a", fence, codec.OpDictSet, "d", "k", 1)
	w.write(append(set, w.request(codec.OpUnlock, "a", ownerOf("holder"))...))
	time.Sleep(20 * time.Millisecond)
	open()
	if reply := w.next(w.id - 1); reply.Status != codec.StatusOK {
		t.Errorf("DICT SET with the present fence, before UNLOCK: %v", reply.Status)
	}
	if got := decodeAll(t, w.next(w.id).Body); got[0] != true {
		t.Errorf("UNLOCK after it: %v", got)
	}
}

// TestShutGate: while a request with IF FENCE is executed for long, LOCK waits as long as it says,
// and no longer, and UNLOCK ends that wait.
func TestShutGate(t *testing.T) {
	t.Parallel()
	srv, _, open := holdGate(t, "a")
	defer open()
	w, other := dial(t, srv), dial(t, srv)
	for _, wait := range []int{0, 30} {
		if got := w.ok(codec.OpLock, "a", ownerOf("one"), leaseTime, wait, 1); got[0] != nil {
			t.Errorf("LOCK with a wait of %d ms: %v", wait, got)
		}
	}
	id := w.sendLock("a", "two", leaseTime)
	waiters(t, srv, 1)
	if got := other.ok(codec.OpUnlock, "a", ownerOf("two")); got[0] != false {
		t.Errorf("UNLOCK of an owner that waits: %v", got)
	}
	if reply := w.next(id); reply.Status != codec.StatusCanceled {
		t.Errorf("LOCK after UNLOCK of its owner: %v", reply.Status)
	}
	id = w.sendLock("a", "three", leaseTime)
	waiters(t, srv, 1)
	other.ok(codec.OpUnlock, "a", ownerOf("holder"))
	open()
	w.fence(id)
}
