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
	// minRestInterval is the least time between two collections at rest, and restShare how many
	// times longer than the last one it is, if that is more: requests may come in bursts.
	minRestInterval = 2 * time.Second
	restShare       = 50
)

// spareHeap returns to the system what the Go heap does not need: garbage, and free memory that it
// keeps. After many logins or large requests this is as much as what is live. A server at rest does
// so once, but no sooner than minRestInterval after the last time, and for at most a fiftieth of
// the time. Owned by the sweeper, except where said.
type spareHeap struct {
	samples [4]metrics.Sample
	cycles  uint64       // collections when dropped was last looked at
	dropped uint64       // bytes that became garbage since then without an allocation
	giving  atomic.Bool  // cleared by the goroutine that returns the memory
	next    atomic.Int64 // unix nanoseconds; nothing is returned before. Set by that goroutine
}

func (h *spareHeap) init() {
	h.samples[0].Name = "/memory/classes/heap/objects:bytes"
	h.samples[1].Name = "/memory/classes/heap/free:bytes"
	h.samples[2].Name = "/gc/heap/live:bytes"
	h.samples[3].Name = "/gc/cycles/total:gc-cycles"
}

// look forgets what was dropped before the last collection.
func (h *spareHeap) look() {
	metrics.Read(h.samples[3:])
	if cycles := h.samples[3].Value.Uint64(); cycles != h.cycles {
		h.cycles, h.dropped = cycles, 0
	}
}

// worthwhile reports whether there may be enough to return: all that was allocated since the last
// collection may be garbage.
func (h *spareHeap) worthwhile() bool {
	metrics.Read(h.samples[:3])
	objects, free, live := h.samples[0].Value.Uint64(), h.samples[1].Value.Uint64(), h.samples[2].Value.Uint64()
	return objects-min(objects, live)+free+h.dropped >= max(minSpareBytes, live/spareShare)
}

// giveBack returns memory if that is worth a collection. A goroutine does so, since the sweeper
// must wake when a request comes.
func (h *spareHeap) giveBack() {
	if !h.worthwhile() || !h.giving.CompareAndSwap(false, true) {
		return
	}
	go func() {
		start := time.Now()
		runtime.GC() // the second collection frees what a sync.Pool keeps through one
		debug.FreeOSMemory()
		h.next.Store(time.Now().Add(max(minRestInterval, restShare*time.Since(start))).UnixNano())
		h.giving.Store(false)
	}()
}
