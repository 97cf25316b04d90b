package persist

import "encoding/binary"

// write puts all operations that have no gap before them into records and gives these to the file.
func (j *Journal) write() error {
	f := &j.flusher
	for found := true; found; {
		found = false
		for _, s := range f.sources {
			for lsn, n := s.head(); lsn == f.next && lsn != 0; lsn, n = s.head() {
				if err := j.emit(s, n); err != nil {
					return err
				}
				found = true
			}
		}
	}
	return j.writeOut()
}

// emit moves the first operation of a source to the record at hand.
func (j *Journal) emit(s *source, n uint64) error {
	f := &j.flusher
	kept := s.size() > j.opt.KeptBytes
	op := s.operation(kept)
	if err := j.room(len(op)); err != nil {
		return err
	}
	if f.at < 0 {
		f.beginRecord()
	}
	f.out = binary.AppendUvarint(f.out, n)
	f.out = binary.AppendUvarint(f.out, uint64(len(op)))
	f.out = append(f.out, op...)
	f.rec.ops++
	f.next += n
	f.pending += int64(opDiskBytes + len(op))
	s.at += opHeaderBytes + len(op)
	if kept {
		s.at -= len(op)
	}
	if s.at < len(s.chunks[0]) {
		return nil
	}
	j.recycle(s.chunks[0])
	s.at = 0
	s.next()
	if kept {
		s.next()
	}
	return nil
}

// room closes the record at hand, gives all to the file, or begins a new segment, if an operation
// of n bytes asks for it.
func (j *Journal) room(n int) error {
	f := &j.flusher
	if j.opt.Policy != Always && f.beyondRoom(n) {
		if err := j.writeOut(); err != nil {
			return err
		}
	}
	if f.at >= 0 && len(f.out)-f.at+n > recordBytes {
		j.endRecord()
	}
	if f.at >= 0 {
		return nil
	}
	if len(f.out)+n > writeBytes {
		if err := j.writeOut(); err != nil {
			return err
		}
	}
	if size := f.seg.size + int64(len(f.out)); size > segmentHeaderBytes && size+int64(n) > f.limit {
		return j.rotate()
	}
	return nil
}

func (f *flusher) beginRecord() {
	f.at = len(f.out)
	f.out = append(f.out, make([]byte, recordHeaderBytes)...)
	f.rec = recordHeader{lsn: f.next - f.skipped}
	for f.skipped > 0 {
		n := min(f.skipped, maxOperationNumbers)
		f.out = binary.AppendUvarint(f.out, n)
		f.out = binary.AppendUvarint(f.out, 0)
		f.rec.ops++
		f.skipped -= n
	}
}

// endRecord closes the record at hand.
func (j *Journal) endRecord() {
	f := &j.flusher
	payload := f.out[f.at+recordHeaderBytes:]
	f.rec.length, f.rec.sum, f.rec.synced = uint32(len(payload)), checksum(payload), f.synced
	putRecordHeader(f.out[f.at:], f.seed, &f.rec)
	f.at = -1
}

// writeOut gives all records to the file.
func (j *Journal) writeOut() error {
	f := &j.flusher
	if f.at >= 0 {
		j.endRecord()
	}
	if len(f.out) == 0 {
		return nil
	}
	if j.opt.Policy != Always { // what is missing at the segment's end would be a hole after the write
		if err := j.segmentInPlace(); err != nil {
			return err
		}
	}
	if _, err := f.file.Write(f.out); err != nil {
		return err
	}
	f.wrote = true
	f.seg.size += int64(len(f.out))
	f.unsynced += int64(len(f.out))
	j.grown.Add(int64(len(f.out)))
	j.taken.Add(f.pending)
	if err := j.makeRoom(); err != nil {
		return err
	}
	j.written.Store(f.next - 1)
	j.showSize()
	if f.out, f.pending = f.out[:0], 0; cap(f.out) > 2*writeBytes { // of one large operation: let it go
		f.out = nil
	}
	return nil
}

// showSize lets others see the segment's size.
func (j *Journal) showSize() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments[len(j.segments)-1].size = j.flusher.seg.size
}
