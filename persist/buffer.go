package persist

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// Buffer collects the operations of one writer, an event loop or a goroutine, for the flusher.
type Buffer struct {
	j *Journal

	mu     sync.Mutex
	full   [][]byte // chunks, in order
	chunk  []byte   // the current chunk
	last   uint64   // the last LSN appended
	closed bool
}

// In memory, an operation is: LSN u64 | number of LSNs u64 | length u32 | bytes. The bytes of one
// that is retained are a chunk of their own.
const (
	opHeaderBytes = 20
	chunkBytes    = 64 << 10
	freeChunks    = 64 // kept for reuse
)

// Buffer returns a new buffer. Close it when its writer ends.
func (j *Journal) Buffer() *Buffer {
	b := &Buffer{j: j}
	j.mu.Lock()
	j.buffers = append(j.buffers, b)
	j.mu.Unlock()
	return b
}

// Append adds one operation with the LSNs lsn to lsn+n-1. Call it under the locks under which these
// were assigned. Calls on one buffer must not overlap, and their LSNs must ascend. An operation
// without payload only says that its LSNs are taken.
//
// Append does not wait for the disk. It copies the payload, unless that is longer than
// Options.KeptBytes: then it retains the slice, which must not be modified. On a broken journal
// Append does nothing: see Err.
func (b *Buffer) Append(lsn, n uint64, _ int64, payload []byte) {
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
				"the journal cannot hold an operation with %d LSNs from %d on and %d bytes",
				n,
				lsn,
				len(payload),
			),
		)
		signal(b.j.kick) // the flusher reports it
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

// reserve makes room for n bytes in the current chunk.
func (b *Buffer) reserve(n int) {
	if len(b.chunk)+n <= cap(b.chunk) {
		return
	}
	if len(b.chunk) > 0 {
		b.full = append(b.full, b.chunk)
	}
	b.chunk = b.j.newChunk(n)
}

// newChunk returns an empty chunk with capacity for n bytes.
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

// recycle takes back a chunk that has been written.
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

// Close ends the buffer: its operations will be written, and nothing may be appended to it.
func (b *Buffer) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}
