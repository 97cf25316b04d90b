package shardmap

import "math/bits"

const (
	minChunkBytes = 512
	maxChunkBytes = 64 << 10
)

// chunkUse says how a shard's chunks are used. The unused end of a chunk is neither dead nor alive:
// compaction would only make another.
type chunkUse struct {
	bump        int      // chunk that records are added to, -1: none
	bumpUsed    int      // bytes of it
	bytes       int      // of chunks that records share
	filled      int      // of these, with records, dead ones included
	liveBytes   int      // of these, with live records
	createdLSNs []uint64 // LSN of the mutation that made each chunk: views with higher numbers may see it
	freeSlots   []uint16 // free places in chunks
}

// newRecord makes room for a record of size bytes. The entry returned has its place and the flag of
// an own block, if it has one.
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

// ownRecord takes in a block as the record of a new entry.
func (s *shard) ownRecord(block []byte, born uint64) entry {
	return entry{loc: uint32(s.addChunk(block, born)) << 16, size: flagOwnBlock}
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

// chunkBytes returns the size of the next chunk of a shard whose chunks come to total bytes: a
// power of two, some 1/16 of them, so that the unused end of the last chunk is some 1/32, but room
// for four records once there are others, so that the end left by one that does not fit is a small
// part.
func chunkBytes(total, size int) int {
	n := max(total/16, min(total, minSlabBytes), minChunkBytes, size, min(4*size, total+size))
	return min(1<<bits.Len(uint(n-1)), maxChunkBytes)
}

// addChunk puts a chunk into a free place among the chunks and returns its number.
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
	s.chunks[i] = nil
	s.freeSlots = append(s.freeSlots, uint16(i))
}

// fits tells whether the record of entry num may be overwritten by one of size bytes: it has the
// room, without much to spare, and no view sees it.
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

// resize makes an entry's record, which fits, size bytes long and returns it.
func (s *shard) resize(e *entry, size int) []byte {
	if e.size&flagOwnBlock != 0 {
		i := e.loc >> 16
		s.chunks[i] = s.chunks[i][:size]
		return s.chunks[i]
	}
	s.liveBytes -= int(e.size&sizeMask) - size
	e.size = e.size&^sizeMask | uint16(size)
	return s.record(e)
}
