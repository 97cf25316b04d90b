package shardmap

import (
	"unsafe"

	"github.com/tinylib/msgp/msgp"
)

// A lookup has three cache misses, each of which waits for the one before: index, entry, record.
// Lookups that are known together are prefetched together, so that the misses of one kind overlap.

// lookup is a key that is about to be looked up.
type lookup struct {
	shard     *shard // nil: its lock is taken, so it is not prefetched
	hash      uint64
	candidate int32 // the entry that find will most likely return, -1: none
}

// maxPrefetches is the most keys that are prefetched at once: more would evict each other from the
// nearest cache.
const maxPrefetches = 64

// AddPrefetch announces a lookup of the key at the front of b, for the next Prefetch. b need not be
// checked; a key that is not a str, bytes or int is ignored. It returns false once no more keys can
// be added.
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

// Prefetch loads what the announced lookups will read into the processor's cache, and forgets them.
// It skips shards that other calls have locked: it never waits.
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

// tryLockShard locks s and adds it to Call.lockedShards, unless it is there already. It returns
// false if another call has the lock, or if s is retired.
func (c *Call) tryLockShard(s *shard) bool {
	for _, held := range c.lockedShards {
		if held == s {
			return true
		}
	}
	if !s.mu.TryLock() {
		return false
	}
	if s.retired { // its memory may be freed at any moment, even under the lock
		s.mu.Unlock()
		return false
	}
	c.lockedShards = append(c.lockedShards, s)
	return true
}

// prefetchBatch prefetches the lookups of the Call's batch. Their shards are locked.
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

// prefetchAll prefetches what the lookups will read: all index slots, then all entries, then all
// records. The shards are locked.
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

// cacheLine is the size of a processor's cache line, in bytes.
const cacheLine = 64

// candidate returns the first entry that the index has under the hash's tag, which is nearly always
// the one that find returns; -1 if there is none.
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
