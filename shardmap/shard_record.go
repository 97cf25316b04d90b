package shardmap

import "math/bits"

const (
	minChunkBytes = 512
	maxChunkBytes = 64 << 10
)

// newRecord makes room for a record of size bytes. The entry returned has its place and the flag of an own block, if it has one.
func (s *shard) newRecord(st *Store, size int) (e entry, rec []byte) {
	if size > maxBumpBytes {
		rec = st.slabs.Alloc(size)
		return entry{loc: uint32(s.addChunk(rec)) << 16, size: flagOwnBlock}, rec
	}
	if s.bump < 0 || s.bumpUsed+size > len(s.chunks[s.bump]) {
		s.newBump(st, size)
	}
	e = entry{loc: uint32(s.bump)<<16 | uint32(s.bumpUsed), size: uint16(size)}
	rec = s.chunks[s.bump][s.bumpUsed : s.bumpUsed+size]
	s.bumpUsed += size
	return e, rec
}

// newBump begins a chunk with room for size bytes. What is left of the one before is dead.
func (s *shard) newBump(st *Store, size int) {
	if s.bump >= 0 {
		s.deadBytes += len(s.chunks[s.bump]) - s.bumpUsed
	}
	n := chunkBytes(s.bytes, size)
	var chunk []byte
	if n < minSlabBytes {
		chunk = make([]byte, n)
	} else {
		chunk = st.slabs.Alloc(n)
	}
	s.bump, s.bumpUsed = s.addChunk(chunk), 0
	s.bytes += n
}

// chunkBytes returns the size of the next chunk of a shard whose chunks come to total bytes: a power of two, some 1/16 of them, so that the unused
// end of the last chunk is some 1/32.
func chunkBytes(total, size int) int {
	n := max(total/16, min(total, minSlabBytes), minChunkBytes, size)
	return min(1<<bits.Len(uint(n-1)), maxChunkBytes)
}

// addChunk puts a chunk into a free place among the chunks and returns its number.
func (s *shard) addChunk(chunk []byte) int {
	if n := len(s.freeSlots); n > 0 {
		i := int(s.freeSlots[n-1])
		s.freeSlots = s.freeSlots[:n-1]
		s.chunks[i] = chunk
		return i
	}
	s.chunks = append(s.chunks, chunk)
	return len(s.chunks) - 1
}

// dropRecord gives up an entry's record.
func (s *shard) dropRecord(w *write, e *entry) {
	if e.size&flagOwnBlock == 0 {
		s.deadBytes += int(e.size & sizeMask)
		return
	}
	i := e.loc >> 16
	w.store.retire(w.first, s.chunks[i])
	s.chunks[i] = nil
	s.freeSlots = append(s.freeSlots, uint16(i))
}

// fits tells whether an entry's record may be overwritten by one of size bytes: it has the room and no view sees it.
func (s *shard) fits(w *write, e *entry, size int) bool {
	if e.version() < w.seen {
		return false
	}
	if e.size&flagOwnBlock == 0 {
		return size <= int(e.size&sizeMask)
	}
	return size > maxBumpBytes && size <= cap(s.chunks[e.loc>>16])
}

// resize makes an entry's record, which fits, size bytes long and returns it.
func (s *shard) resize(e *entry, size int) []byte {
	if e.size&flagOwnBlock != 0 {
		i := e.loc >> 16
		s.chunks[i] = s.chunks[i][:size]
		return s.chunks[i]
	}
	s.deadBytes += int(e.size&sizeMask) - size
	e.size = e.size&^sizeMask | uint16(size)
	return s.record(e)
}
