package loop

import (
	"fmt"
	"runtime"
	"testing"

	"cyberdb-fast/codec"
)

// TestWaiterMemory: a request that waits takes at most 1 kB, whether 10,000 come from one
// connection or 100 from each of 100. All of it is free again once they are over.
func TestWaiterMemory(t *testing.T) {
	const waiting = 10_000
	for name, test := range map[string]struct {
		conns int
		send  func(w *wire, i int) []byte
	}{
		"locks": {1, func(w *wire, i int) []byte {
			return w.request(codec.OpLock, "a", ownerOf(fmt.Sprint(i)), leaseTime, nil, 1)
		}},
		"takes": {100, func(w *wire, i int) []byte {
			return w.request(codec.OpListTake, "l", ownerOf(fmt.Sprint(i)), leaseTime, nil)
		}},
		"pops": {100, func(w *wire, _ int) []byte { return w.request(codec.OpListPopLeft, "l", leaseTime) }},
		"computations": {1, func(w *wire, i int) []byte {
			return w.request(codec.OpDictGetOrCompute, "d", "k", ownerOf(fmt.Sprint(i)), leaseTime, 0, nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := startServer(t, func(cfg *Config) { cfg.MaxConns = 200 })
			w := dial(t, srv)
			w.ok(codec.OpCreateList, "l", false)
			w.ok(codec.OpCreateDict, "d", false)
			w.lock("a", "holder", leaseTime)
			w.ok(codec.OpDictGetOrCompute, "d", "k", ownerOf("holder"), leaseTime, 0, nil)
			conns := make([]*wire, test.conns)
			for i := range conns {
				conns[i] = dial(t, srv)
				conns[i].ok(codec.OpPing)
			}
			before := int64(heapInUse().HeapAlloc)
			for i, c := range conns {
				var frames []byte
				for j := range waiting / test.conns {
					frames = append(frames, test.send(c, i*waiting+j)...)
				}
				c.write(frames)
			}
			waiters(t, srv, waiting)
			if each := (int64(heapInUse().HeapAlloc) - before) / waiting; each > 1024 {
				t.Errorf("%d bytes each", each)
			} else {
				t.Logf("%d bytes each", each)
			}
			for _, c := range conns {
				_ = c.conn.Close()
			}
			waiters(t, srv, 0)
			within(t, testTimeout, func() error {
				if left := int64(heapInUse().HeapAlloc) - before; left > waiting*100 {
					return fmt.Errorf("%d bytes are left", left)
				}
				return nil
			})
			runtime.KeepAlive(conns)
		})
	}
}
