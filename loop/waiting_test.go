package loop

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// TestNewcomersStandBehind: what becomes free belongs to the first in the line, though it was not
// woken yet. A request that comes meanwhile stands behind it, or is refused if it does not wait.
func TestNewcomersStandBehind(t *testing.T) {
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "l", false)
	w.ok(codec.OpCreateDict, "d", false)
	for name, c := range map[string]struct {
		ask     func(w *wire, owner string, wait any) []byte // for what is free then
		free    func(w *wire) []byte                         // of what "holder" has
		refused string                                       // the reply to a request that does not wait
	}{
		"lock": {
			func(w *wire, owner string, wait any) []byte {
				return w.request(codec.OpLock, "a", ownerOf(owner), leaseTime, wait, 1)
			},
			func(w *wire) []byte { return w.request(codec.OpUnlock, "a", ownerOf("holder")) },
			"[<nil>]",
		},
		"computation": {
			func(w *wire, owner string, wait any) []byte {
				return w.request(codec.OpDictGetOrCompute, "d", "k", ownerOf(owner), leaseTime, 0, wait)
			},
			func(w *wire) []byte { return w.request(codec.OpComputed, "d", "k", ownerOf("holder")) },
			"[4]",
		},
		"item": {
			func(w *wire, owner string, wait any) []byte {
				if wait != nil {
					return w.request(codec.OpListLen, "l")
				}
				return w.request(codec.OpListTake, "l", claimOf(owner), leaseTime, nil)
			},
			func(w *wire) []byte { return w.request(codec.OpListAppend, "l", "item") },
			"[1]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := dial(t, srv)
			w.write(c.ask(w, "holder", 0))
			w.next(w.id)
			w.write(c.ask(w, "first", nil))
			first := w.id
			waiters(t, srv, 1)
			w.write(slices.Concat(c.free(w), c.ask(w, "without", 0), c.ask(w, "behind", nil))) // nothing comes between
			w.next(first + 1)
			if got := fmt.Sprint(decodeAll(t, w.next(first+2).Body)); got != c.refused {
				t.Errorf("a request that does not wait is answered %v", got)
			}
			if reply := w.next(first); reply.Status != codec.StatusOK {
				t.Errorf("the first in the line: %v", reply.Status)
			}
			waiters(t, srv, 1) // the one behind
			_ = w.conn.Close()
			waiters(t, srv, 0)
		})
	}
}

// TestPopWithoutWaitIsQuicker: a pop that does not wait stands in no line, and takes what is there
// before those that wait.
func TestPopWithoutWaitIsQuicker(t *testing.T) {
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "l", false)
	w.write(w.request(codec.OpListPopLeft, "l", nil))
	waiters(t, srv, 1)
	w.write(slices.Concat(w.request(codec.OpListAppend, "l", "item"), w.request(codec.OpListPopLeft, "l")))
	w.next(w.id - 1)
	if reply := w.next(w.id); reply.Status != codec.StatusOK {
		t.Errorf("LIST POP LEFT without a wait: %v", reply.Status)
	}
	waiters(t, srv, 1)
}

// TestNoGrantDuringFencedRequest: while a request with IF FENCE is executed, no other client
// gets its lock, though that is released meanwhile.
func TestNoGrantDuringFencedRequest(t *testing.T) {
	srv, fence, open := holdGate(t, "a")
	defer open()
	w := dial(t, srv)
	w.ok(codec.OpUnlock, "a", ownerOf("holder"))
	if got := w.ok(codec.OpLock, "a", ownerOf("next"), leaseTime, 0, 1); got[0] != nil {
		t.Errorf("the lock is granted with fence %v, and a request with fence %d is being executed", got[0], fence)
	}
	open()
	if next := w.lock("a", "next", leaseTime); next <= fence {
		t.Errorf("fence %d after %d", next, fence)
	}
}

// TestLockNames: a lock's name has up to 1,024 bytes, and may be that of a table. One has nothing
// to do with the other.
func TestLockNames(t *testing.T) {
	w := dial(t, startServer(t, nil))
	w.ok(codec.OpCreateDict, "d", false)
	fence := w.lock("d", "one", leaseTime)
	w.ok(codec.OpDictSet, "d", "k", 1)
	w.ok(codec.OpRename, "d", "e")
	w.ok(codec.OpDrop, "e")
	if got := w.ok(codec.OpRenewLock, "d", ownerOf("one"), leaseTime); got[0] != fence {
		t.Errorf("after the table of its name is gone, the lock has fence %v, had %d", got, fence)
	}
	w.lock(strings.Repeat("é", codec.MaxLockNameBytes/2), "one", leaseTime)
	for i := range 2 {
		if got := w.ok(codec.OpLock, "s", ownerOf(fmt.Sprint(i)), leaseTime, 0, 1024); got[0] == nil {
			t.Errorf("owner %d of 1024 is refused", i)
		}
	}
	bad := append([]byte{0xa2}, 0xff, 0xfe) // no UTF-8
	w.fails(codec.StatusValueError, codec.OpLock, rawValue(bad), ownerOf("one"), leaseTime, 0, 1)
}

// TestWaitCountsFromArrival: a request waits as long as it says from its arrival on, though others
// of its connection were executed before it.
func TestWaitCountsFromArrival(t *testing.T) {
	const behind = 100 // milliseconds
	waited := atomic.Int64{}
	waited.Store(-1)
	sleep := func(x *engine.Executor) error {
		if !x.Call().MayBlock {
			return shardmap.ErrLong
		}
		time.Sleep(behind * time.Millisecond)
		return nil
	}
	wait := func(x *engine.Executor) error {
		if x.Resumed == nil {
			return x.WaitFor(engine.Wait{Within: 1})
		}
		waited.Store(x.Waited)
		return nil
	}
	w := dial(t, startServer(t, func(cfg *Config) {
		cfg.Commands = commandsWith(map[codec.Opcode]engine.Command{opSleep: {Run: sleep}, codec.OpPing: {Run: wait}})
	}))
	w.write(slices.Concat(w.request(opSleep), w.request(codec.OpPing)))
	w.next(w.id - 1)
	w.next(w.id)
	if ms := waited.Load(); ms < behind {
		t.Errorf("a request that has arrived %d ms ago has waited %d ms", behind, ms)
	}
}
