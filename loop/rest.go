package loop

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

const (
	// quietTime is how long no request has come when a server counts as at rest.
	quietTime = 150 * time.Millisecond
	// keysTime is how long an encrypted connection is idle before it drops its keys. They cost some
	// microseconds to make again, once in that time.
	keysTime = 2 * time.Second
	// keysBytes is about what a connection's keys take, of both directions.
	keysBytes = 2 << 10
	// minSpareBytes is the least that is worth a collection at rest, and spareShare says which part
	// of the live heap it must be: a large heap is not collected for little.
	minSpareBytes = 1 << 20
	spareShare    = 8
)

// spareHeap is what the Go heap could do without: garbage, and free memory that it keeps. After
// many logins or large requests this is as much as what is live. A server at rest gives it back to
// the system, once. Owned by the sweeper, except where said.
type spareHeap struct {
	samples [3]metrics.Sample
	dropped uint64      // bytes that became garbage without an allocation; the heap does not show them
	giving  atomic.Bool // cleared by the goroutine that gives it back
}

func (h *spareHeap) init() {
	h.samples[0].Name = "/memory/classes/heap/objects:bytes"
	h.samples[1].Name = "/memory/classes/heap/free:bytes"
	h.samples[2].Name = "/gc/heap/live:bytes"
}

// worth says whether there may be enough to give back: all that was allocated since the last
// collection may be garbage.
func (h *spareHeap) worth() bool {
	metrics.Read(h.samples[:])
	objects, free, live := h.samples[0].Value.Uint64(), h.samples[1].Value.Uint64(), h.samples[2].Value.Uint64()
	return objects-min(objects, live)+free+h.dropped >= max(minSpareBytes, live/spareShare)
}

// giveBack gives it back if that is worth a collection. A goroutine does so, since the sweeper must
// wake when a request comes.
func (h *spareHeap) giveBack() {
	if !h.worth() || !h.giving.CompareAndSwap(false, true) {
		return
	}
	h.dropped = 0
	go func() {
		runtime.GC() // the second collection frees what a sync.Pool keeps through one
		debug.FreeOSMemory()
		h.giving.Store(false)
	}()
}
