package sequence

import (
	"iter"
	"math"
)

// Batch is operations that follow one another without a gap. It is for reading only, and several
// sinks read it at once.
type Batch struct {
	First uint64 // LSN of the first operation; 0 if there is none
	Last  uint64 // the last LSN of the last operation; 0 if there is none
	Count int    // of operations
	Bytes int64  // of operations, by Operation.Bytes

	runs     [][]byte // parts of chunks; after one that ends with a retained request's header, the request
	finished [][]byte // chunks of which no operation is left
	holders  int      // the sequencer and the sinks that have not released it; guarded by Sequencer.mu
}

// Operations yields the operations in order. Each is valid until the next one, its bytes are valid
// as long as the batch is.
func (b *Batch) Operations() iter.Seq[*Operation] {
	return func(yield func(*Operation) bool) {
		var op Operation
		for i := 0; i < len(b.runs); i++ {
			for run := b.runs[i]; len(run) > 0; {
				h := (*header)(run)
				n := headerBytes
				op.LSN, op.N, op.Time, op.Semantics, op.Extensions = h.lsn(), h.numbers(), h.time(), h.semantics(), nil
				if extensions := h.extensions(); extensions > 0 {
					n += extensions
					op.Extensions = run[headerBytes:n:n]
				}
				if h.retained() {
					i++
					op.Request, run = b.runs[i], nil
				} else {
					end := n + h.length()
					op.Request, run = run[n:end:end], run[end:]
				}
				if !yield(&op) {
					return
				}
			}
		}
	}
}

// add adds a run of n operations, or a retained request.
func (b *Batch) add(run []byte, n int) {
	b.runs = append(b.runs, run)
	b.Count += n
	b.Bytes += int64(len(run))
}

// reset empties the batch.
func (b *Batch) reset() {
	clear(b.runs)
	clear(b.finished)
	*b = Batch{runs: b.runs[:0], finished: b.finished[:0]}
}

// source is what was taken from one buffer and is not yet in a batch.
type source struct {
	buffer *Buffer
	chunks [][]byte
	at     int // in chunks[0]
	// whole is how many operations chunks has, if no LSN is missing between them and no request is
	// retained; 0: unknown. last is the last LSN then.
	whole  int
	last   uint64
	shared bool // a sink may still hold a batch with the first part of chunks[0]: it is not reused
}

// head returns the next operation's first LSN, 0 if there is no operation.
func (src *source) head() uint64 {
	if len(src.chunks) == 0 {
		return 0
	}
	return (*header)(src.chunks[0][src.at:]).lsn()
}

// moveTo moves the operations that follow one another to the batch, from the first one, which has
// LSN next. It returns the LSN that follows.
func (src *source) moveTo(b *Batch, next uint64) uint64 {
	if src.whole > 0 {
		return src.moveAllTo(b)
	}
	for len(src.chunks) > 0 {
		chunk, at, count := src.chunks[0], src.at, 0
		retained := false
		for at < len(chunk) {
			h := (*header)(chunk[at:])
			if h.lsn() != next {
				break
			}
			next += h.numbers()
			count++
			at += headerBytes + h.extensions()
			if retained = h.retained(); !retained {
				at += h.length()
			}
		}
		if at == src.at {
			return next
		}
		b.add(chunk[src.at:at:at], count)
		if src.at = at; at < len(chunk) {
			return next
		}
		if !src.shared {
			b.finished = append(b.finished, chunk)
		}
		src.drop()
		if retained {
			b.add(src.chunks[0], 0)
			src.drop()
		}
	}
	return next
}

// moveAllTo is moveTo for operations that are known to follow one another.
func (src *source) moveAllTo(b *Batch) (next uint64) {
	for _, chunk := range src.chunks {
		b.add(chunk, 0)
		b.finished = append(b.finished, chunk)
	}
	clear(src.chunks)
	b.Count += src.whole
	src.chunks, src.whole = src.chunks[:0], 0
	return src.last + 1
}

// drop drops the first chunk.
func (src *source) drop() {
	src.chunks[0] = nil
	src.chunks, src.at, src.shared = src.chunks[1:], 0, false
}

// merge moves all operations that have no gap before them to the batch.
func (s *Sequencer) merge(b *Batch) {
	first := s.next
	for before := uint64(math.MaxUint64); before != s.next; {
		before = s.next
		for _, src := range s.sources {
			if src.head() == s.next {
				s.next = src.moveTo(b, s.next)
			}
		}
	}
	if b.Count > 0 {
		b.First, b.Last = first, s.next-1
		b.Bytes += int64(b.Count * (OverheadBytes - headerBytes))
	}
}

// collect takes what is in the buffers.
func (s *Sequencer) collect() {
	s.findBuffers()
	for i := 0; i < len(s.sources); {
		src := s.sources[i]
		if closed := src.buffer.takeTo(src); closed && len(src.chunks) == 0 {
			s.forget(i)
			continue
		}
		i++
	}
}

// findBuffers creates a source for each new buffer.
func (s *Sequencer) findBuffers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.buffers[len(s.sources):] {
		s.sources = append(s.sources, &source{buffer: b})
	}
}

// forget drops a closed buffer that is empty. Sources and buffers are in the same order.
func (s *Sequencer) forget(i int) {
	s.sources = append(s.sources[:i], s.sources[i+1:]...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffers = append(s.buffers[:i], s.buffers[i+1:]...)
}

// newBatch returns an empty batch, which the sequencer holds.
func (s *Sequencer) newBatch() *Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &Batch{}
	if last := len(s.batches) - 1; last >= 0 {
		b, s.batches = s.batches[last], s.batches[:last]
	}
	b.holders = 1
	return b
}

// release gives up a holder's hold on a batch. When no holder is left, its memory is reused. s.mu
// is held.
func (s *Sequencer) release(b *Batch) {
	if b.holders--; b.holders > 0 {
		return
	}
	for _, chunk := range b.finished {
		if cap(chunk) == chunkBytes && len(s.free) < freeChunks {
			s.free = append(s.free, chunk[:0])
		}
	}
	if b.reset(); len(s.batches) < freeBatches && cap(b.runs) <= maxRuns {
		s.batches = append(s.batches, b)
	}
}

// What is kept of batches for reuse: few, and only small ones.
const (
	freeBatches = 16
	maxRuns     = 64 << 10
)
