package persist

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// Buffer is where one writer, an event loop or a goroutine, leaves its operations for the flusher.
type Buffer struct {
	j *Journal

	mu     sync.Mutex
	full   [][]byte // chunks, in order
	chunk  []byte   // at hand
	last   uint64   // LSN appended
	closed bool
}

// In memory, an operation is: LSN u64 | numbers u64 | length u32 | bytes. The bytes of one that is
// kept are a chunk of their own.
const (
	opHeaderBytes = 20
	chunkBytes    = 64 << 10
	freeChunks    = 64 // kept to be used again
)

// Buffer returns a new buffer. Close it when its writer ends.
func (j *Journal) Buffer() *Buffer {
	b := &Buffer{j: j}
	j.mu.Lock()
	j.buffers = append(j.buffers, b)
	j.mu.Unlock()
	return b
}

// Append leaves one operation that has drawn the numbers lsn to lsn+n-1. It is to be called under
// the locks under which they were drawn; of one buffer, by one goroutine at a time and with rising
// LSNs. An operation without payload says only that its numbers are taken.
//
// It waits for no disk. It copies the payload, or keeps it as it is if that has more than
// Options.KeptBytes: it must not be written to any more. On a broken journal Append does nothing:
// see Err.
func (b *Buffer) Append(lsn, n uint64, payload []byte) {
	if b.j.broken.Load() {
		return
	}
	b.j.appended.Add(int64(opDiskBytes + len(payload))) // before the flusher may take it
	b.mu.Lock()
	good := lsn > b.last && len(payload) <= maxOperationBytes && n-1 < maxOperationNumbers
	if good {
		b.last = lsn + n - 1
		b.put(lsn, n, payload)
	}
	b.mu.Unlock()
	if !good {
		b.j.fail(
			fmt.Errorf(
				"the journal was given %d numbers from LSN %d on, with %d bytes, which it cannot keep",
				n,
				lsn,
				len(payload),
			),
		)
		signal(b.j.kick) // the flusher tells of it
		return
	}
	if !b.j.armed.Load() && b.j.armed.CompareAndSwap(false, true) {
		signal(b.j.kick)
	}
}

func (b *Buffer) put(lsn, n uint64, payload []byte) {
	kept := len(payload) > b.j.opt.KeptBytes
	size := opHeaderBytes
	if !kept {
		size += len(payload)
	}
	b.reserve(size)
	b.chunk = binary.LittleEndian.AppendUint64(b.chunk, lsn)
	b.chunk = binary.LittleEndian.AppendUint64(b.chunk, n)
	b.chunk = binary.LittleEndian.AppendUint32(b.chunk, uint32(len(payload)))
	if kept {
		b.full = append(b.full, b.chunk, payload)
		b.chunk = nil
		return
	}
	b.chunk = append(b.chunk, payload...)
}

// reserve makes room for n bytes in the chunk at hand.
func (b *Buffer) reserve(n int) {
	if len(b.chunk)+n <= cap(b.chunk) {
		return
	}
	if len(b.chunk) > 0 {
		b.full = append(b.full, b.chunk)
	}
	b.chunk = b.j.newChunk(n)
}

// newChunk returns an empty chunk with room for n bytes.
func (j *Journal) newChunk(n int) []byte {
	if n > chunkBytes {
		return make([]byte, 0, n)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if last := len(j.free) - 1; last >= 0 {
		chunk := j.free[last]
		j.free = j.free[:last]
		return chunk
	}
	return make([]byte, 0, chunkBytes)
}

// recycle takes a chunk that has been written.
func (j *Journal) recycle(chunk []byte) {
	if cap(chunk) != chunkBytes {
		return
	}
	j.mu.Lock()
	if len(j.free) < freeChunks {
		j.free = append(j.free, chunk[:0])
	}
	j.mu.Unlock()
}

// take moves what the buffer holds to the end of dst.
func (b *Buffer) take(dst [][]byte) (chunks [][]byte, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	dst = append(dst, b.full...)
	clear(b.full)
	b.full = b.full[:0]
	if len(b.chunk) > 0 {
		dst = append(dst, b.chunk)
		b.chunk = nil
	}
	return dst, b.closed
}

// Close ends the buffer: what it holds will be written, nothing may be appended any more.
func (b *Buffer) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}
