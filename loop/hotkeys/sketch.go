package hotkeys

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"cyberdb-fast/loop/requestlog"
)

const (
	// counters is how many keys a sketch counts.
	counters = 256
	// halfTime is the interval at which counts are halved.
	halfTime = 10 * time.Second
	// most is how many keys are shown.
	most = 50
)

// seed is that of the hashes of all sketches, which are compared when sketches are merged.
var seed = maphash.MakeSeed()

// counter counts the requests for a key.
type counter struct {
	hash       uint64
	table, key []byte // the key as requestlog.AppendKey keeps it
	count      uint32
	excess     uint32 // how much too large count may be
}

// Sketch counts keys. One goroutine adds; any may read.
type Sketch struct {
	mu      sync.Mutex
	places  map[uint64]int // of a hash, in all; guarded by mu
	all     []counter      // guarded by mu
	least   uint32         // no count is smaller; guarded by mu
	next    int            // in all: where free looks next; guarded by mu
	sampled uint32         // the sum of the counts, of all keys; guarded by mu
	halved  time.Duration  // when the counts were halved last, or would have been; guarded by mu
}

// Add counts a request for an encoded key of a table, at a monotonic time.
func (s *Sketch) Add(table, key []byte, now time.Duration) {
	hash := maphash.Bytes(seed, table) ^ maphash.Bytes(seed, key)*0x9E3779B97F4A7C15
	s.mu.Lock()
	defer s.mu.Unlock()
	if now-s.halved >= halfTime {
		s.halve(now)
	}
	s.sampled++
	if i, ok := s.places[hash]; ok {
		s.all[i].count++
		return
	}
	if s.places == nil {
		s.places = make(map[uint64]int, counters)
	}
	i := s.free()
	c := &s.all[i]
	delete(s.places, c.hash)
	s.places[hash] = i
	c.hash, c.excess = hash, c.count
	c.table, c.key = append(c.table[:0], table...), requestlog.AppendKey(c.key[:0], key)
	c.count++
}

// free returns a counter for a key that has none: a new one, or that with the smallest count.
func (s *Sketch) free() int {
	if len(s.all) < counters {
		s.all = append(s.all, counter{})
		return len(s.all) - 1
	}
	for {
		for range s.all {
			if s.next++; s.next >= len(s.all) {
				s.next = 0
			}
			if s.all[s.next].count <= s.least {
				return s.next
			}
		}
		s.least++
	}
}

// halve halves the counts for each interval that has passed, and forgets the keys that have none
// left. The caller has locked mu.
func (s *Sketch) halve(now time.Duration) {
	times := (now - s.halved) / halfTime
	s.halved += times * halfTime
	shift := min(uint(times), 32)
	clear(s.places)
	s.least >>= shift
	kept := s.all[:0]
	s.sampled >>= shift
	for _, c := range s.all {
		if c.count, c.excess = c.count>>shift, c.excess>>shift; c.count > 0 {
			s.places[c.hash] = len(kept)
			kept = append(kept, c)
		}
	}
	clear(s.all[len(kept):])
	s.all = kept
}

// Hot is the keys that are asked for most.
type Hot struct {
	Sampled uint64 `json:"sampled"` // requests that were looked at; older ones count less
	Every   int    `json:"every"`   // one of so many requests for a key is looked at
	Keys    []Key  `json:"keys"`    // the hottest first
}

// Key is a key that is asked for.
type Key struct {
	Table string  `json:"table"`
	Key   string  `json:"key"`   // Python's repr, shortened
	Count uint64  `json:"count"` // of the requests that were looked at
	Share float64 `json:"share"` // of them, 0 to 1
	Error uint64  `json:"error"` // count is at most so much too large
}

// Merge returns the hottest keys of all sketches at a monotonic time. A key that was seen once is
// not hot, nor may one be whose count is mostly error.
func Merge(sketches []*Sketch, now time.Duration) Hot {
	type sum struct {
		Key
		table, key []byte
	}
	sums := make(map[uint64]*sum)
	hot := Hot{Keys: []Key{}}
	for _, s := range sketches {
		all, sampled := s.copied(now)
		hot.Sampled += uint64(sampled)
		for _, c := range all {
			if sums[c.hash] == nil {
				sums[c.hash] = &sum{table: c.table, key: c.key}
			}
			sums[c.hash].Count += uint64(c.count)
			sums[c.hash].Error += uint64(c.excess)
		}
	}
	found := make([]*sum, 0, len(sums))
	for _, k := range sums {
		if k.Count > 1 && k.Error <= k.Count/2 { // otherwise it is noise
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(a, b *sum) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), slices.Compare(a.key, b.key), slices.Compare(a.table, b.table))
	})
	for _, k := range found[:min(len(found), most)] {
		k.Table, k.Key.Key = requestlog.Text(k.table), requestlog.KeyText(k.key)
		k.Share = float64(k.Count) / float64(hot.Sampled)
		hot.Keys = append(hot.Keys, k.Key)
	}
	return hot
}

// copied returns a copy of the counters, and the sum of their counts.
func (s *Sketch) copied(now time.Duration) (all []counter, sampled uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now-s.halved >= halfTime {
		s.halve(now)
	}
	all = slices.Clone(s.all)
	for i := range all { // the counters' buffers are used again
		all[i].table, all[i].key = slices.Clone(all[i].table), slices.Clone(all[i].key)
	}
	return all, s.sampled
}
