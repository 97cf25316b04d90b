package persist

import "encoding/binary"

// source is what was taken from one buffer and is not yet written.
type source struct {
	buffer *Buffer
	chunks [][]byte
	at     int // in chunks[0]
	closed bool
}

// head returns the next operation's first LSN and their number; lsn is 0 if there is no operation.
func (s *source) head() (lsn, n uint64) {
	if len(s.chunks) == 0 {
		return 0, 0
	}
	b := s.chunks[0][s.at:]
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
}

// collect takes what is in the buffers.
func (j *Journal) collect() {
	j.findBuffers()
	for i := 0; i < len(j.flusher.sources); {
		s := j.flusher.sources[i]
		s.chunks, s.closed = s.buffer.take(s.chunks)
		if s.closed && len(s.chunks) == 0 {
			j.forget(i)
			continue
		}
		i++
	}
}

// findBuffers creates a source for each new buffer.
func (j *Journal) findBuffers() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range j.buffers[len(j.flusher.sources):] {
		j.flusher.sources = append(j.flusher.sources, &source{buffer: b})
	}
}

// forget drops a closed buffer that is empty. Sources and buffers are in the same order.
func (j *Journal) forget(i int) {
	f := &j.flusher
	f.sources = append(f.sources[:i], f.sources[i+1:]...)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buffers = append(j.buffers[:i], j.buffers[i+1:]...)
}

// size returns the length of the next operation.
func (s *source) size() int { return int(binary.LittleEndian.Uint32(s.chunks[0][s.at+16:])) }

// operation returns the bytes of the next operation.
func (s *source) operation(kept bool) []byte {
	if kept {
		return s.chunks[1]
	}
	return s.chunks[0][s.at+opHeaderBytes:][:s.size()]
}

// next drops the first chunk.
func (s *source) next() {
	s.chunks[0] = nil
	s.chunks = s.chunks[1:]
}
