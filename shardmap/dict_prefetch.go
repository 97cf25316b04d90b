package shardmap

import (
	"unsafe"

	"github.com/tinylib/msgp/msgp"
)

// A lookup is three cache misses that wait for each other: the index, the entry, the record.
// Lookups that are known together are warmed together: the misses of one kind do not wait for each
// other, and overlap.

// lookup is a key that is about to be looked up.
type lookup struct {
	shard     *shard // nil: it cannot be held, and is not warmed
	hash      uint64
	candidate int32 // the entry that find will most likely return, -1: none
}

// maxExpected is how many keys are expected at once at most: more would push each other out of the
// nearest cache.
const maxPrefetches = 64

// AddPrefetch notes that a request for the key at the front of b is about to be made; Warm then speeds
// that up. b need not be checked: what is no str, bytes or int is not noted. It tells whether there
// is room for more.
func (c *Call) AddPrefetch(d *Dict, b []byte) bool {
	switch msgp.NextType(b) {
	case msgp.StrType, msgp.BinType, msgp.IntType, msgp.UintType:
	default:
		return true
	}
	rest, err := msgp.Skip(b)
	if err != nil {
		return true
	}
	hash := d.store.hashOf(b[:len(b)-len(rest)])
	c.prefetches = append(c.prefetches, lookup{shard: d.dir.Load().shard(hash), hash: hash})
	return len(c.prefetches) < maxPrefetches
}

// Prefetch brings what the lookups of the expected keys will read into the processor's cache, and
// forgets them. A shard whose lock somebody else holds is left out: Warm waits for nobody.
func (c *Call) Prefetch() {
	if len(c.prefetches) > 1 {
		for i := range c.prefetches {
			if l := &c.prefetches[i]; !c.tryLockShard(l.shard) {
				l.shard = nil
			}
		}
		c.prefetchAll(c.prefetches)
		c.unlockShards()
	}
	clear(c.prefetches)
	c.prefetches = c.prefetches[:0]
}

// tryLockShard locks s and puts it into Call.held, unless it is there. It tells whether it is: not if
// somebody else has the lock, or if s is retired.
func (c *Call) tryLockShard(s *shard) bool {
	for _, held := range c.lockedShards {
		if held == s {
			return true
		}
	}
	if !s.mu.TryLock() {
		return false
	}
	if s.retired { // its memory may go at any moment, lock or not
		s.mu.Unlock()
		return false
	}
	c.lockedShards = append(c.lockedShards, s)
	return true
}

// prefetchBatch warms the lookups of the Call's batch. Their shards are held.
func (c *Call) prefetchBatch(d *Dict) {
	dir := d.dir.Load()
	for from := 0; from < len(c.batch); from += maxPrefetches {
		for i := range c.batch[from:min(from+maxPrefetches, len(c.batch))] {
			hash := c.batch[from+i].hash
			c.prefetches = append(c.prefetches, lookup{shard: dir.shard(hash), hash: hash})
		}
		c.prefetchAll(c.prefetches)
		c.prefetches = c.prefetches[:0]
	}
}

// prefetchAll prefetches what the lookups will read, kind by kind. The shards are held.
func (c *Call) prefetchAll(lookups []lookup) {
	for i := range lookups {
		if s, hash := lookups[i].shard, lookups[i].hash; s != nil && len(s.index) > 0 {
			prefetch(unsafe.Pointer(&s.index[hash&uint64(len(s.index)-1)]))
		}
	}
	for i := range lookups {
		l := &lookups[i]
		l.candidate = -1
		if l.shard != nil {
			l.candidate = l.shard.candidate(l.hash)
		}
		if l.candidate >= 0 {
			prefetch(unsafe.Pointer(l.shard.entry(int(l.candidate))))
		}
	}
	for i := range lookups {
		if l := &lookups[i]; l.candidate >= 0 {
			record := l.shard.record(l.shard.entry(int(l.candidate)))
			prefetch(unsafe.Pointer(&record[0]))
			prefetch(unsafe.Pointer(&record[min(len(record), 2*cacheLine)-1]))
		}
	}
}

// cacheLine is what a processor reads at a time, in bytes.
const cacheLine = 64

// candidate returns the first entry that the index has under the hash's tag: mostly the one that
// find will return. -1: none.
func (s *shard) candidate(hash uint64) int32 {
	if len(s.index) == 0 {
		return -1
	}
	tag := tagOf(hash)
	mask := uint64(len(s.index) - 1)
	for i := hash & mask; s.index[i] != emptySlot; i = (i + 1) & mask {
		if slot := s.index[i]; slot&0xffff0000 == tag {
			return int32(slot & 0xffff)
		}
	}
	return -1
}
