package persist

import "cyberdb-fast/persist/sequence"

// write puts the operations of a batch into records and writes those to the file.
func (j *Journal) write(b *sequence.Batch) error {
	f := &j.flusher
	for op := range b.Operations() {
		f.time = max(f.time, op.Time)
		if n := len(op.Request) + len(op.Extensions); f.at < 0 || len(f.out)-f.at+n > recordBytes || f.beyondRoom(n) {
			if err := j.room(n); err != nil {
				return err
			}
		}
		if f.at < 0 {
			f.beginRecord()
		}
		f.out = appendOperation(f.out, op, f.before)
		f.before = op.Time
		f.rec.ops++
		f.next = op.LSN + op.N
		f.pending += op.Bytes()
	}
	return j.writeOut()
}

// room makes room for an operation of n bytes: if necessary it closes the current record, writes
// all records, or begins a new segment.
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
	f.before = f.seg.time
	for f.skipped > 0 {
		n := min(f.skipped, sequence.MaxNumbers)
		skip := Operation{N: n, Time: f.before, Semantics: 1}
		f.out = appendOperation(f.out, &skip, f.before)
		f.rec.ops++
		f.skipped -= n
	}
}

// endRecord closes the current record.
func (j *Journal) endRecord() {
	f := &j.flusher
	payload := f.out[f.at+recordHeaderBytes:]
	f.rec.length, f.rec.sum, f.rec.synced = uint32(len(payload)), checksum(payload), f.synced
	putRecordHeader(f.out[f.at:], f.seed, &f.rec)
	f.at = -1
}

// writeOut writes all records to the file.
func (j *Journal) writeOut() error {
	f := &j.flusher
	if f.at >= 0 {
		j.endRecord()
	}
	if len(f.out) == 0 {
		return nil
	}
	if j.opt.Policy != Always { // otherwise a write could leave a hole after a truncation by another program
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
	j.bytesWritten.Add(int64(len(f.out)))
	j.flushed.Add(f.pending)
	if err := j.makeRoom(); err != nil {
		return err
	}
	j.written.Store(f.next - 1)
	j.showSize()
	if f.out, f.pending = f.out[:0], 0; cap(f.out) > 2*writeBytes { // grown by one large operation: free it
		f.out = nil
	}
	return nil
}

// showSize publishes the segment's size.
func (j *Journal) showSize() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments[len(j.segments)-1].size = j.flusher.seg.size
}
