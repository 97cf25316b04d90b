package persist

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// flusher is the part of a Journal that its one goroutine owns.
type flusher struct {
	sources  []*source
	next     uint64 // the LSN that is to be written next
	skipped  uint64 // how many numbers before next no record has: the next record begins with them
	synced   uint64 // the last LSN whose record is on disk
	missing  gap    // what f.next waits for
	pending  int64  // bytes taken from buffers, of what is in out
	unsynced int64  // bytes written since the last sync
	lastSync time.Time

	wrote     bool // since the last round
	lastWrite time.Time
	marked    bool // the last record says that all before it is on disk

	file  File
	seg   segment // being written
	limit int64   // the length beyond which the next segment is begun
	place FileID  // of the file
	room  room
	seed  uint32
	out   []byte // records to be written
	at    int    // of the record at hand in out, -1 if none is begun
	rec   recordHeader
}

// gap counts for how long an operation has been missing.
type gap struct {
	lsn    uint64
	looks  int
	looked time.Time
}

// A gap lasts nanoseconds, or as long as a writer is kept from running between drawing its number
// and appending. One that is still there at the maxGapLooks-th look, at least gapLook apart, is a
// defect: it would keep all that comes after it from the disk. They are looks and not a time, since
// the whole process may have been stopped.
const (
	gapLook     = 100 * time.Millisecond
	maxGapLooks = 100
)

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

// run is the flusher's goroutine.
func (j *Journal) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-j.kick:
			if !j.noRoom.Load() { // else it is among the last, and others are refused already
				timer.Reset(writeDelay)
				continue
			}
		case <-j.urgent:
		case <-timer.C:
		case <-j.stop:
			j.finish()
			return
		}
		j.guard(func() { j.round(time.Now()) })
		switch {
		case j.broken.Load(): // what was written will never be synced
		case j.flusher.missing.lsn > 0:
			timer.Reset(gapLook)
		case j.noRoom.Load():
			timer.Reset(roomRetry)
		case j.opt.Policy == EverySecond && j.written.Load() > j.durable.Load():
			timer.Reset(time.Until(j.flusher.lastSync.Add(syncDelay)))
		case !j.flusher.marked:
			timer.Reset(time.Until(j.flusher.lastWrite.Add(markDelay)))
		}
	}
}

// guard calls f. A panic in it breaks the journal.
func (j *Journal) guard(f func()) {
	if p := guarded(f); p != nil {
		_ = guarded(func() { j.breakDown(p) }) // the panic may have been that of those who are told
	}
}

// round takes what has been appended, writes what has no gap before it, and syncs if it is time to.
func (j *Journal) round(now time.Time) {
	j.armed.Store(false)
	j.collect()
	if j.broken.Load() {
		j.discard()
		j.tell()
		return
	}
	err := j.write()
	if err == nil {
		err = j.flusher.lookAtGap(now)
	}
	if err == nil && j.noRoom.Load() {
		err = j.makeRoom()
	}
	if err != nil {
		j.breakDown(err)
		return
	}
	f := &j.flusher
	if f.wrote {
		f.wrote, f.marked, f.lastWrite = false, false, now
	}
	idle := !f.marked && now.Sub(f.lastWrite) >= markDelay
	written, durable := j.written.Load(), j.durable.Load()
	due := idle || j.opt.Policy == Always || j.want.Load() > durable ||
		j.opt.Policy == EverySecond && now.Sub(f.lastSync) >= syncDelay
	if written > durable && due {
		if err = j.sync(); err == nil {
			f.lastSync = now
			j.synced(written)
		}
	}
	if err == nil && idle {
		err = j.mark()
	}
	if err != nil {
		j.breakDown(err)
	}
}

// sync syncs the segment, and looks whether a start will find it.
func (j *Journal) sync() error {
	if err := j.flusher.file.Sync(); err != nil {
		return err
	}
	return j.inPlace()
}

// inPlace returns an error if a start would not find the segment, or what else it needs.
func (j *Journal) inPlace() error {
	if err := j.segmentInPlace(); err != nil {
		return err
	}
	if j.opt.check != nil {
		return j.opt.check()
	}
	return nil
}

// segmentInPlace returns an error if a start would not find the segment, with all that was written
// to it.
func (j *Journal) segmentInPlace() error {
	f := &j.flusher
	size := f.seg.size
	if j.opt.Policy == Always {
		size = max(size, f.room.end) // with the zeros
	}
	return inPlace(j.fs, f.seg.name, f.place, size)
}

// mark writes a record without operations, and syncs it: all before it is on disk. Damage before it
// is not taken for a torn tail. It is for a journal that is idle, or closed.
func (j *Journal) mark() error {
	f := &j.flusher
	if !f.marked && f.seg.size > segmentHeaderBytes {
		f.beginRecord()
		if err := j.writeOut(); err != nil {
			return err
		}
		if err := j.sync(); err != nil {
			return err
		}
	}
	f.wrote, f.marked = false, true
	return nil
}

// synced makes it known that all up to an LSN is on disk.
func (j *Journal) synced(lsn uint64) {
	j.flusher.synced, j.flusher.unsynced = lsn, 0
	j.mu.Lock()
	j.durable.Store(lsn)
	j.changed.Broadcast()
	j.mu.Unlock()
	j.tell()
}

func (j *Journal) tell() {
	if j.opt.OnSync != nil {
		j.opt.OnSync()
	}
}

// breakDown ends all writing: whether what was written is on disk cannot be known any more.
func (j *Journal) breakDown(err error) {
	j.fail(fmt.Errorf("the journal cannot be written: %w", err))
	j.discard()
	j.tell()
}

// discard lets go what can never be written.
func (j *Journal) discard() {
	for _, s := range j.flusher.sources {
		s.chunks, s.at = nil, 0
	}
	j.flusher.out = nil
	j.taken.Store(j.appended.Load())
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

// lookAtGap returns an error if an operation is missing for too long.
func (f *flusher) lookAtGap(now time.Time) error {
	g := &f.missing
	waiting := slices.ContainsFunc(f.sources, func(s *source) bool { return len(s.chunks) > 0 })
	switch {
	case !waiting:
		*g = gap{}
	case g.lsn != f.next:
		*g = gap{f.next, 1, now}
	case now.Sub(g.looked) >= gapLook:
		if g.looks++; g.looks > maxGapLooks {
			return fmt.Errorf("operation %d was never given to it", f.next)
		}
		g.looked = now
	}
	return nil
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

// finish ends the flusher.
func (j *Journal) finish() {
	defer close(j.ended)
	j.guard(j.lastRound)
}

// lastRound writes and syncs all, and a last record says so.
func (j *Journal) lastRound() {
	f := &j.flusher
	j.want.Store(^uint64(0))
	j.round(time.Now())
	if err := j.Err(); err == nil {
		if err = j.mark(); err == nil {
			err = j.endSegment()
		}
		if err != nil {
			j.breakDown(err)
		}
	}
	if err := f.file.Close(); err != nil {
		j.fail(err)
	}
	for _, s := range f.sources {
		if lsn, _ := s.head(); lsn != 0 {
			j.fail(fmt.Errorf("operation %d was never given to the journal, %d was", f.next, lsn))
		}
	}
	j.fail(ErrClosed)
}
