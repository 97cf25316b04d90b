package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
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
	lastSync time.Time

	file     File
	seg      segment // being written
	limit    int64   // the length beyond which the next segment is begun
	reserved int64   // the file's length with the zeros behind seg.size, 0: there are none
	seed     uint32
	out      []byte // records to be written
	at       int    // of the record at hand in out, -1 if none is begun
	rec      recordHeader
}

// gap counts for how long an operation has been missing.
type gap struct {
	lsn    uint64
	looks  int
	looked time.Time
}

// A gap lasts nanoseconds, or as long as a writer is kept from running between drawing its number and appending. One that is still there at the
// maxGapLooks-th look, at least gapLook apart, is a defect: it would keep all that comes after it from the disk. They are looks and not a time,
// since the whole process may have been stopped.
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
			timer.Reset(writeDelay)
			continue
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
		case j.opt.Policy == EverySecond && j.written.Load() > j.durable.Load():
			timer.Reset(time.Until(j.flusher.lastSync.Add(syncDelay)))
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
	if err != nil {
		j.breakDown(err)
		return
	}
	written, durable := j.written.Load(), j.durable.Load()
	due := j.opt.Policy == Always || j.want.Load() > durable || j.opt.Policy == EverySecond && now.Sub(j.flusher.lastSync) >= syncDelay
	if written == durable || !due {
		return
	}
	if err := j.flusher.file.Sync(); err != nil {
		j.breakDown(err)
		return
	}
	j.flusher.lastSync = now
	j.synced(written)
}

// synced makes it known that all up to an LSN is on disk.
func (j *Journal) synced(lsn uint64) {
	j.flusher.synced = lsn
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
	j.fail(fmt.Errorf("persist: the journal cannot be written: %w", err))
	j.discard()
	j.tell()
}

// discard lets go what can never be written.
func (j *Journal) discard() {
	for _, s := range j.flusher.sources {
		s.chunks, s.at = nil, 0
	}
	j.flusher.out = nil
	var appended int64
	j.mu.Lock()
	for _, b := range j.buffers {
		appended += b.appended.Load()
	}
	j.mu.Unlock()
	j.taken.Store(appended)
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
	b := f.sources[i].buffer
	f.sources = append(f.sources[:i], f.sources[i+1:]...)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buffers = append(j.buffers[:i], j.buffers[i+1:]...)
	j.taken.Add(-b.appended.Load())
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
	f.pending += int64(opHeaderBytes + len(op))
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

// room closes the record at hand, gives all to the file, or begins a new segment, if an operation of n bytes asks for it.
func (j *Journal) room(n int) error {
	f := &j.flusher
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
	if _, err := f.file.Write(f.out); err != nil {
		return err
	}
	f.seg.size += int64(len(f.out))
	if err := j.reserve(); err != nil {
		return err
	}
	j.grown.Add(int64(len(f.out)))
	j.taken.Add(f.pending)
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

// reserve sees to it that there are zeros behind the last record, to be written over by the next ones: under Always the file is synced for each few
// records, and a sync costs about half if it need not make the file's new length durable.
func (j *Journal) reserve() error {
	f := &j.flusher
	if j.opt.Policy != Always || f.seg.size < f.reserved || f.seg.size >= f.limit {
		return nil
	}
	f.reserved = min(f.seg.size+reserveBytes, f.limit)
	return f.file.Reserve(f.seg.size, f.reserved)
}

// endSegment makes the segment durable, without what was reserved behind its records.
func (f *flusher) endSegment() error {
	if f.reserved > f.seg.size {
		if err := f.file.Truncate(f.seg.size); err != nil {
			return err
		}
	}
	f.reserved = 0
	return f.file.Sync()
}

// rotate syncs the segment, begins the next, and closes the segment: only the last can be torn. While the next cannot be begun, the segment, all of which is on
// disk, goes on, and is asked again once it has grown by as much as a segment may have.
func (j *Journal) rotate() error {
	f := &j.flusher
	if err := j.writeOut(); err != nil {
		return err
	}
	if err := f.endSegment(); err != nil {
		return err
	}
	j.synced(f.next - 1)
	file := f.file
	err := j.begin(f.seg.number + 1)
	if errors.Is(err, errNotBegun) {
		f.limit = f.seg.size + j.opt.SegmentBytes
		j.begun(err)
		return nil
	}
	if err != nil {
		return err
	}
	j.begun(nil)
	return file.Close()
}

// begun notes whether the next segment could be begun, and tells of a change.
func (j *Journal) begun(err error) {
	j.mu.Lock()
	changed := (j.beginErr == nil) != (err == nil)
	j.beginErr = err
	j.mu.Unlock()
	if changed && j.opt.OnBegin != nil {
		j.opt.OnBegin(err)
	}
}

// errNotBegun is found in the error of begin if nothing is left of the segment that it could not make.
var errNotBegun = errors.New("the next segment of the journal cannot be begun")

// begin makes a new segment. Its header is on disk before records follow. Errors: those of the file system; with errNotBegun if it is certain that there is no
// such file.
func (j *Journal) begin(number uint64) error {
	f := &j.flusher
	s := segment{name: joinName(j.dir, segmentName(number)), id: j.opt.Database, number: number, first: f.next - f.skipped, size: segmentHeaderBytes}
	file, err := j.create(&s)
	if errors.Is(err, fs.ErrExist) { // another's: it stays
		return err
	}
	if err != nil {
		if undo := j.unmake(s.name); undo != nil {
			return errors.Join(err, undo)
		}
		return fmt.Errorf("%w: %w", errNotBegun, err)
	}
	f.file, f.seg, f.limit, f.seed, f.reserved = file, s, j.opt.SegmentBytes, s.seed(), 0
	j.grown.Add(s.size)
	j.mu.Lock()
	j.segments = append(j.segments, s)
	j.mu.Unlock()
	return nil
}

// create makes the file of a segment, with its header. It is on disk then.
func (j *Journal) create(s *segment) (File, error) {
	file, err := j.fs.Create(s.name)
	if err != nil {
		return nil, err
	}
	_, err = file.Write(s.appendHeader(nil))
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = j.fs.SyncDir(j.dir)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// unmake takes away what is left of a segment that could not be begun, also from the disk: behind it the one before is not the last, and must not grow.
func (j *Journal) unmake(name string) error {
	err := j.fs.Remove(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return j.fs.SyncDir(j.dir)
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
		if err := j.lastRecord(); err != nil {
			j.breakDown(err)
		}
	}
	if err := f.file.Close(); err != nil {
		j.fail(err)
	}
	for _, s := range f.sources {
		if lsn, _ := s.head(); lsn != 0 {
			j.fail(fmt.Errorf("persist: operation %d was never given to the journal, %d was", f.next, lsn))
		}
	}
	j.fail(ErrClosed)
}

// lastRecord writes a record without operations. It says that those before are on disk.
func (j *Journal) lastRecord() error {
	if j.flusher.seg.size == segmentHeaderBytes {
		return nil
	}
	j.flusher.beginRecord()
	if err := j.writeOut(); err != nil {
		return err
	}
	return j.flusher.endSegment()
}
