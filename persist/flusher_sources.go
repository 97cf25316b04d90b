package persist

import "encoding/binary"

// source is what has been taken from one buffer and not yet been written.
type source struct {
	buffer *Buffer
	chunks [][]byte
	at     int // in chunks[0]
	closed bool
}

// head returns the next operation's numbers, lsn 0 if there is none.
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

// findBuffers makes a source for each new buffer.
func (j *Journal) findBuffers() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range j.buffers[len(j.flusher.sources):] {
		j.flusher.sources = append(j.flusher.sources, &source{buffer: b})
	}
}

// forget drops a closed buffer that has nothing left. Sources and buffers stand in the same order.
func (j *Journal) forget(i int) {
	f := &j.flusher
	f.sources = append(f.sources[:i], f.sources[i+1:]...)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buffers = append(j.buffers[:i], j.buffers[i+1:]...)
}

// size returns how many bytes the next operation has.
func (s *source) size() int { return int(binary.LittleEndian.Uint32(s.chunks[0][s.at+16:])) }

// operation returns the bytes of the next operation.
func (s *source) operation(kept bool) []byte {
	if kept {
		return s.chunks[1]
	}
	return s.chunks[0][s.at+opHeaderBytes:][:s.size()]
}

// next lets the first chunk go.
func (s *source) next() {
	s.chunks[0] = nil
	s.chunks = s.chunks[1:]
}
