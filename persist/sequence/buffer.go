package sequence

import (
	"fmt"
	"sync"
)

// Buffer collects the operations of one writer, an event loop or a goroutine, for the sequencer.
type Buffer struct {
	s *Sequencer

	mu     sync.Mutex
	full   [][]byte // chunks, in order
	chunk  []byte   // the current chunk
	last   uint64   // the last LSN appended
	count  int      // operations in full and chunk
	apart  bool     // LSNs are missing between them, or a request is retained
	credit int64    // bytes that Sequencer.Appended has ahead
	closed bool
}

// The operations of a buffer are in chunks.
const (
	chunkBytes = 64 << 10
	freeChunks = 64 // kept for reuse

	creditBytes = 4 << 10 // what a buffer counts ahead
)

// Buffer returns a new buffer. Close it when its writer ends.
func (s *Sequencer) Buffer() *Buffer {
	b := &Buffer{s: s}
	s.mu.Lock()
	s.buffers = append(s.buffers, b)
	s.mu.Unlock()
	return b
}

// Append adds one operation with the LSNs lsn to lsn+n-1, which was applied at time, by
// Options.Semantics: it is Add without extensions.
func (b *Buffer) Append(lsn, n uint64, time int64, request []byte) {
	b.Add(&Operation{LSN: lsn, N: n, Time: time, Semantics: b.s.opt.Semantics, Request: request})
}

// Add adds one operation. Call it under the locks under which its LSNs were assigned. Calls on one
// buffer must not overlap, and their LSNs must ascend.
//
// Add does not wait for the disk. It copies the operation, except a request that is longer than
// Options.KeptBytes: it retains that slice, which must not be modified. On a broken sequence Add
// does nothing: see Err.
func (b *Buffer) Add(op *Operation) {
	s := b.s
	if s.broken.Load() {
		return
	}
	b.mu.Lock()
	good := op.LSN > b.last && op.valid()
	if good {
		if op.LSN != b.last+1 && b.count > 0 {
			b.apart = true
		}
		b.last = op.LSN + op.N - 1
		b.count++
		b.account(op.Bytes())
		b.put(op)
	}
	b.mu.Unlock()
	if !good {
		s.Fail(
			fmt.Errorf(
				"the journal cannot hold an operation with %d LSNs from %d on, %d bytes and %d bytes of extensions",
				op.N,
				op.LSN,
				len(op.Request),
				len(op.Extensions),
			),
		)
		return
	}
	if !s.armed.Load() && s.armed.CompareAndSwap(false, true) {
		signal(s.kick)
	}
}

// account counts n bytes in Sequencer.Appended, and some ahead: writers share that number, and each
// change of it costs them time.
func (b *Buffer) account(n int64) {
	if b.credit -= n; b.credit < 0 {
		b.s.appended.Add(creditBytes - b.credit)
		b.credit = creditBytes
	}
}

func (b *Buffer) put(op *Operation) {
	size := headerBytes + len(op.Extensions)
	retained := len(op.Request) > b.s.opt.KeptBytes
	if !retained {
		size += len(op.Request)
	}
	at := len(b.chunk)
	if at+size > cap(b.chunk) {
		b.newChunk(size)
		at = 0
	}
	b.chunk = b.chunk[:at+size]
	op.write(b.chunk[at:], retained)
	if retained {
		b.full = append(b.full, b.chunk, op.Request)
		b.chunk, b.apart = nil, true
	}
}

// newChunk begins a chunk with room for n bytes.
func (b *Buffer) newChunk(n int) {
	if len(b.chunk) > 0 {
		b.full = append(b.full, b.chunk)
	}
	b.chunk = b.s.newChunk(n)
}

// takeTo moves what the buffer holds to the source. closed: the buffer was closed.
func (b *Buffer) takeTo(src *source) (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	src.whole = 0
	if len(src.chunks) == 0 && !b.apart {
		src.whole, src.last = b.count, b.last
	}
	src.chunks = append(src.chunks, b.full...)
	clear(b.full)
	b.full = b.full[:0]
	if len(b.chunk) > 0 {
		src.chunks = append(src.chunks, b.chunk)
		b.chunk = nil
	}
	b.s.appended.Add(-b.credit)
	b.count, b.apart, b.credit = 0, false, 0
	return b.closed
}

// Close ends the buffer: its operations will be written, and nothing may be added to it.
func (b *Buffer) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}

// newChunk returns an empty chunk with capacity for n bytes.
func (s *Sequencer) newChunk(n int) []byte {
	if n > chunkBytes {
		return make([]byte, 0, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.free) - 1; last >= 0 {
		chunk := s.free[last]
		s.free = s.free[:last]
		return chunk
	}
	return make([]byte, 0, chunkBytes)
}
