package shardmap

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/zeebo/xxh3"

	"cyberdb-fast/codec/value"
)

// The index is a hash table with open addressing and linear probing, at most 0.8 full. A slot is
//
//	31            16 15             0
//	+---------------+---------------+
//	| tag, never 0  | entry number  |
//	+---------------+---------------+
//
// The lower bits of the hash select the first slot, bits 16 to 31 are the tag, and the upper bits
// select the shard.
const (
	emptySlot = 0
	tombstone = 1

	minIndexSlots = 8
)

func tagOf(hash uint64) uint32 {
	tag := uint32(hash) & 0xffff0000
	if tag == 0 {
		tag = 1 << 16
	}
	return tag
}

// hashOf returns the hash of a canonical key.
func (s *Store) hashOf(canonical []byte) uint64 { return xxh3.HashSeed(canonical, s.seed) }

// find returns the number of the entry with the canonical key, -1 if there is none.
func (s *shard) find(hash uint64, key []byte) int {
	if len(s.index) == 0 {
		return -1
	}
	tag := tagOf(hash)
	mask := uint64(len(s.index) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := s.index[i]
		if slot&0xffff0000 == tag {
			num := int(slot & 0xffff)
			if rec := s.record(s.entry(num)); len(rec) > len(key) && string(rec[:len(key)]) == string(key) {
				return num
			}
		}
		if slot == emptySlot {
			return -1
		}
	}
}

// addToIndex adds entry num under its hash. The index has no entry with the same key.
func (s *shard) addToIndex(w *write, hash uint64, num int) {
	if 5*(s.used+1) > 4*len(s.index) {
		s.reindex(w, num)
	}
	mask := uint64(len(s.index) - 1)
	i := hash & mask
	for s.index[i] > tombstone {
		i = (i + 1) & mask
	}
	if s.index[i] == emptySlot {
		s.used++
	}
	s.index[i] = tagOf(hash) | uint32(num)
}

// dropFromIndex removes entry num. Tombstones before an empty slot are not needed and become empty.
func (s *shard) dropFromIndex(hash uint64, num int) {
	slot := tagOf(hash) | uint32(num)
	mask := uint64(len(s.index) - 1)
	i := hash & mask
	for s.index[i] != slot {
		i = (i + 1) & mask
	}
	s.index[i] = tombstone
	if s.index[(i+1)&mask] != emptySlot {
		return
	}
	for s.index[i] == tombstone {
		s.index[i] = emptySlot
		s.used--
		i = (i - 1) & mask
	}
}

// reindex builds a new, larger index of the entries below count.
func (s *shard) reindex(w *write, count int) {
	w.store.freeIndex(s.index)
	s.index = w.store.newIndex(indexSlots(s.live + s.live/8 + 1))
	s.used = 0
	for i := range s.pages {
		p := &s.pages[i]
		for j := range min(len(p.entries), count-i*pageEntries) {
			if e := &p.entries[j]; e.live() {
				s.addToIndex(w, w.store.hashOf(s.canonical(e)), i*pageEntries+j)
			}
		}
	}
}

// canonical returns the canonical key of a live entry.
func (c *contents) canonical(e *entry) []byte {
	rec := c.record(e)
	return rec[:value.Size(rec)]
}

// indexSlots returns the number of slots of an index for n entries.
func indexSlots(n int) int {
	return max(minIndexSlots, 1<<bits.Len(uint(n*5/4)))
}

// newIndex returns an empty index.
func (s *Store) newIndex(slots int) []uint32 {
	if slots*4 < minSlabBytes {
		return make([]uint32, slots)
	}
	block := s.slabs.Alloc(slots * 4)
	clear(block)
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(block))), slots)
}

// freeIndex frees what newIndex returned. No view ever reads an index.
func (s *Store) freeIndex(index []uint32) {
	if len(index)*4 >= minSlabBytes {
		s.slabs.Free(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(index))), len(index)*4))
	}
}

// unequalKey appends a canonical key for a key that equals nothing, such as nan: an extension
// object that no checked value can be.
func unequalKey(dst []byte, random uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, fixExt8, refusedCode), random)
}

// isUnequal reports whether unequalKey returned the canonical key.
func isUnequal(canonical []byte) bool { return canonical[0] == fixExt8 && canonical[1] == refusedCode }

// The header of a key that equals nothing.
const fixExt8, refusedCode = 0xd7, 0
