package loop

import (
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// memoryLimit keeps the server from being killed for its memory. Once it uses as much as it may,
// requests that add data are refused, while reads and deletions continue. Its use is the Go heap,
// garbage included, the stacks, and the used part of the slabs. The garbage collector gets a limit
// too.
type memoryLimit struct {
	limit  int64 // constant; 0: none
	evicts bool  // constant: entries of dicts make room; otherwise only deletions do

	used  atomic.Int64 // at the last measurement, with some of what is lent; written by the sweeper
	lent  atomic.Int64 // to requests while they work; written by them
	since atomic.Int64 // bytes of the requests that add data, since then; written by event loops
	freed atomic.Int64 // bytes of the entries evicted since then; written by those that evict

	// owned by the sweeper
	samples   []metrics.Sample
	collector int64     // limit that the collector was given last
	listed    time.Time // when the evictable dicts were listed
}

// collectorShare: the garbage collector's limit is at least this part of the whole, however large
// the slabs are.
const collectorShare = 8

const (
	// Entries are evicted above the limit less 1/evictShare of it.
	evictShare = 16
	// Memory is short above the limit less 1/shortShare of it.
	shortShare = 8
	// leastEvicted is how many bytes are evicted at once, at least.
	leastEvicted = 4 << 10
	// listInterval is how old the list of evictable dicts may be while memory is short.
	listInterval = time.Second
)

func (m *memoryLimit) init(limit int64, evicts bool, store *shardmap.Store) {
	m.evicts = evicts
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
	if m.evicts { // what is free and resident can be given back
		used += int64(store.ResidentBytes())
	} else {
		used += int64(stats.SlabBytes - stats.SlabFreeBytes)
	}
	m.used.Store(used)
	m.since.Store(0)
	m.freed.Store(0)
	m.prepareToEvict(store, used)
	collector := max(m.limit-int64(stats.SlabBytes), m.limit/collectorShare)
	if change := collector - m.collector; change > m.limit/64 || -change > m.limit/64 {
		m.collector = collector
		debug.SetMemoryLimit(collector)
	}
}

// newStore returns an empty store that can evict, if the server is to.
func (cfg *Config) newStore() *shardmap.Store {
	store := shardmap.NewStore()
	if cfg.evicts() {
		store.EvictAll()
	}
	return store
}

// evicts reports whether entries of any dicts are evicted.
func (cfg *Config) evicts() bool { return cfg.EvictAll && cfg.MaxMemoryBytes > 0 }

// prepareToEvict tells the store whether memory is short.
func (m *memoryLimit) prepareToEvict(store *shardmap.Store, used int64) {
	if !m.evicts {
		return
	}
	short := used > m.limit-m.limit/shortShare
	store.SetPressure(short)
	if short && time.Since(m.listed) > listInterval {
		store.ListEvictable()
		m.listed = time.Now()
	}
}

// expected returns what is in use by an estimate.
func (m *memoryLimit) expected() int64 {
	return m.used.Load() + m.lent.Load() + m.since.Load() - m.freed.Load()
}

// toEvict returns how many bytes of entries are to be evicted before a request adds so many bytes.
func (m *memoryLimit) toEvict(bytes int) int {
	if !m.evicts {
		return 0
	}
	above := m.expected() + int64(bytes) - (m.limit - m.limit/evictShare)
	return int(min(max(above, 0), max(int64(2*bytes), leastEvicted)))
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
	if m.limit == 0 {
		return nil
	}
	if m.since.Add(int64(bytes)); m.expected() <= m.limit {
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
	if m.lent.Add(int64(bytes)); m.expected() > m.limit {
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
