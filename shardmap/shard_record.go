package shardmap

import "math/bits"

const (
	minChunkBytes = 512
	maxChunkBytes = 64 << 10
)

// chunkUse counts how a shard's chunks are used. The unused end of a chunk counts as neither dead
// nor live: compaction would only make another.
type chunkUse struct {
	bump        int      // chunk that records are added to, -1: none
	bumpUsed    int      // bytes used in it
	bytes       int      // of all shared chunks
	filled      int      // of these, bytes with records, including dead ones
	liveBytes   int      // of these, bytes with live records
	ownBytes    int      // of records in blocks of their own
	createdLSNs []uint64 // of the change that made each chunk: only views with LSNs from that on may see it
	freeSlots   []uint16 // free slots in chunks
}

// newRecord allocates a record of size bytes. The entry returned has its location, and flagOwnBlock
// if it has its own block.
func (s *shard) newRecord(w *write, size int) (e entry, rec []byte) {
	if size > maxBumpBytes {
		rec = w.store.slabs.Alloc(size)
		return s.ownRecord(rec, w.first), rec
	}
	if s.bump < 0 || s.bumpUsed+size > len(s.chunks[s.bump]) {
		s.newBump(w, size)
	}
	e = entry{loc: uint32(s.bump)<<16 | uint32(s.bumpUsed), size: uint16(size)}
	rec = s.chunks[s.bump][s.bumpUsed : s.bumpUsed+size]
	s.bumpUsed += size
	s.filled += size
	s.liveBytes += size
	return e, rec
}

// ownRecord makes a block the record of a new entry.
func (s *shard) ownRecord(block []byte, born uint64) entry {
	s.ownBytes += len(block)
	return entry{loc: uint32(s.addChunk(block, born)) << 16, size: flagOwnBlock}
}

// bytesUsed returns the bytes of all live records.
func (s *shard) bytesUsed() int { return s.liveBytes + s.ownBytes }

// countBytes brings the dict's count of bytes up to date after a change.
func (s *shard) countBytes() {
	if diff := s.bytesUsed() - s.counted; diff != 0 {
		s.table.dict.bytes.Add(int64(diff))
		s.counted += diff
	}
}

// newBump begins a chunk with room for size bytes.
func (s *shard) newBump(w *write, size int) {
	n := chunkBytes(s.bytes, size)
	var chunk []byte
	if n < minSlabBytes {
		chunk = make([]byte, n)
	} else {
		chunk = w.store.slabs.Alloc(n)
	}
	s.bump, s.bumpUsed = s.addChunk(chunk, w.first), 0
	s.bytes += n
}

// chunkBytes returns the size of a shard's next chunk; total is the size of its chunks so far. It
// is a power of two of about total/16, so that the unused end of the last chunk is about 1/32. If
// there are other chunks it has room for four records, so that the end which is too small for
// another record is a small part.
func chunkBytes(total, size int) int {
	n := max(total/16, min(total, minSlabBytes), minChunkBytes, size, min(4*size, total+size))
	return min(1<<bits.Len(uint(n-1)), maxChunkBytes)
}

// addChunk puts a chunk into a free slot of chunks and returns its number.
func (s *shard) addChunk(chunk []byte, born uint64) int {
	if n := len(s.freeSlots); n > 0 {
		i := int(s.freeSlots[n-1])
		s.freeSlots = s.freeSlots[:n-1]
		s.chunks[i], s.createdLSNs[i] = chunk, born
		return i
	}
	s.chunks, s.createdLSNs = append(s.chunks, chunk), append(s.createdLSNs, born)
	return len(s.chunks) - 1
}

// dropRecord gives up an entry's record.
func (s *shard) dropRecord(w *write, e *entry) {
	if e.size&flagOwnBlock == 0 {
		s.liveBytes -= int(e.size & sizeMask)
		return
	}
	i := e.loc >> 16
	w.store.retire(retiredBlock{s.chunks[i], s.table, s.createdLSNs[i], w.first})
	s.ownBytes -= len(s.chunks[i])
	s.chunks[i] = nil
	s.freeSlots = append(s.freeSlots, uint16(i))
}

// fits reports whether the record of entry num can be overwritten by one of size bytes: there is
// room, not much is wasted, and no view sees it.
func (s *shard) fits(w *write, num int, e *entry, size int) bool {
	if w.newest > 0 && w.visible(e.version(), s.place(num)) {
		return false
	}
	if e.size&flagOwnBlock == 0 {
		return size <= int(e.size&sizeMask)
	}
	room := cap(s.chunks[e.loc>>16])
	return size > maxBumpBytes && size <= room && size >= room/2
}

// resize sets the size of an entry's record, which fits, and returns the record.
func (s *shard) resize(e *entry, size int) []byte {
	if e.size&flagOwnBlock != 0 {
		i := e.loc >> 16
		s.ownBytes += size - len(s.chunks[i])
		s.chunks[i] = s.chunks[i][:size]
		return s.chunks[i]
	}
	s.liveBytes -= int(e.size&sizeMask) - size
	e.size = e.size&^sizeMask | uint16(size)
	return s.record(e)
}
