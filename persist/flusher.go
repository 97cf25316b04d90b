package persist

import (
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

// run is the flusher's goroutine.
func (j *Journal) run() {
	defer close(j.ended)
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

// lastRound writes and syncs all, and a last record says so. The flusher has ended.
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
