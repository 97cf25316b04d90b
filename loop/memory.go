package loop

import (
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// memoryLimit keeps the server from being killed for its memory. Once it uses as much as it may,
// requests that add data are refused, while reads and deletions continue. Its use is the Go heap,
// garbage included, the stacks, and the used part of the slabs. The garbage collector gets a limit
// too.
type memoryLimit struct {
	limit int64 // constant; 0: none

	used  atomic.Int64 // at the last measurement, with some of what is lent; written by the sweeper
	lent  atomic.Int64 // to requests while they work; written by them
	since atomic.Int64 // bytes of the requests that add data, since then; written by event loops

	// owned by the sweeper
	samples   []metrics.Sample
	collector int64 // limit that the collector was given last
}

// collectorShare: the garbage collector's limit is at least this part of the whole, however large
// the slabs are.
const collectorShare = 8

func (m *memoryLimit) init(limit int64, store *shardmap.Store) {
	if m.limit = limit; limit > 0 {
		m.samples = []metrics.Sample{
			{Name: "/memory/classes/heap/objects:bytes"},
			{Name: "/memory/classes/heap/stacks:bytes"},
		}
		m.measure(store)
	}
}

// measure measures the memory in use.
func (m *memoryLimit) measure(store *shardmap.Store) {
	if m.limit == 0 {
		return
	}
	metrics.Read(m.samples)
	used := int64(0)
	for i := range m.samples {
		used += int64(m.samples[i].Value.Uint64())
	}
	stats := store.Stats()
	m.used.Store(used + int64(stats.SlabBytes-stats.SlabFreeBytes))
	m.since.Store(0)
	collector := max(m.limit-int64(stats.SlabBytes), m.limit/collectorShare)
	if change := collector - m.collector; change > m.limit/64 || -change > m.limit/64 {
		m.collector = collector
		debug.SetMemoryLimit(collector)
	}
}

// full says whether the last measurement was above the limit.
func (m *memoryLimit) full() bool { return m.limit > 0 && m.used.Load() > m.limit }

// end removes the garbage collector's limit.
func (m *memoryLimit) end() {
	if m.limit > 0 {
		debug.SetMemoryLimit(math.MaxInt64)
	}
}

// admit says whether there is room for a request of so many bytes that adds data; if not, it
// returns the error.
func (m *memoryLimit) admit(bytes int) error {
	if m.limit == 0 || m.used.Load()+m.lent.Load()+m.since.Add(int64(bytes)) <= m.limit {
		return nil
	}
	return m.noRoom("nothing was stored")
}

func (m *memoryLimit) noRoom(outcome string) error {
	return &codec.Error{
		Status: codec.StatusOverloaded,
		Message: fmt.Sprintf(
			"the server uses all of the %d MiB that --max-memory allows: %s",
			m.limit>>20,
			outcome,
		),
	}
}

// Lend implements shardmap.Memory.
func (m *memoryLimit) Lend(bytes int) error {
	if m.limit == 0 || bytes == 0 {
		return nil
	}
	if m.lent.Add(int64(bytes))+m.used.Load()+m.since.Load() > m.limit {
		m.Return(bytes)
		return m.noRoom("nothing was done")
	}
	return nil
}

// Return implements shardmap.Memory.
func (m *memoryLimit) Return(bytes int) {
	if m.limit > 0 {
		m.lent.Add(-int64(bytes))
	}
}
