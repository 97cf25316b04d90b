package persist

import (
	"fmt"
	"slices"
	"time"
)

// flusher is the part of a Journal that its flusher goroutine owns.
type flusher struct {
	sources  []*source
	next     uint64 // the next LSN to be written
	skipped  uint64 // LSNs before next that no record has; the next record begins with them
	synced   uint64 // the last LSN whose record is on disk
	missing  gap    // what next waits for
	pending  int64  // bytes taken from buffers that are in out
	unsynced int64  // bytes written since the last sync
	lastSync time.Time

	wrote     bool // since the last flushOnce
	lastWrite time.Time
	marked    bool // the last record says that everything before it is on disk

	file   File
	seg    segment // the segment being written
	limit  int64   // the length above which the next segment is begun
	fileID FileID  // of the file
	room   room
	seed   uint32
	out    []byte // records to be written
	at     int    // of the current record in out, -1 if there is none
	rec    recordHeader
}

// gap counts for how long an operation has been missing.
type gap struct {
	lsn       uint64
	checks    int
	lastCheck time.Time
}

// A gap normally lasts nanoseconds: from assigning an LSN to appending. It lasts longer if the
// writer is not scheduled in between. A gap that is still there at check number maxGapChecks is a
// bug; it would keep all later operations off the disk. Counting checks, at least gapCheckInterval
// apart, instead of time allows for a process that was stopped.
const (
	gapCheckInterval = 100 * time.Millisecond
	maxGapChecks     = 100
)

// run is the flusher's goroutine.
func (j *Journal) run() {
	defer close(j.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-j.kick:
			if !j.noRoom.Load() { // otherwise the disk is full and changes are already refused: flush immediately
				timer.Reset(writeDelay)
				continue
			}
		case <-j.urgent:
		case <-timer.C:
		case <-j.stop:
			return
		}
		j.guard(func() { j.flushOnce(time.Now()) })
		switch {
		case j.broken.Load(): // nothing will be synced any more
		case j.flusher.missing.lsn > 0:
			timer.Reset(gapCheckInterval)
		case j.noRoom.Load():
			timer.Reset(roomRetry)
		case j.opt.Policy == EverySecond && j.written.Load() > j.durable.Load():
			timer.Reset(time.Until(j.flusher.lastSync.Add(syncDelay)))
		case !j.flusher.marked:
			timer.Reset(time.Until(j.flusher.lastWrite.Add(markDelay)))
		}
	}
}

// guard calls f. A panic in f breaks the journal.
func (j *Journal) guard(f func()) {
	if p := guarded(f); p != nil {
		_ = guarded(func() { j.breakWith(p) }) // the panic may be that of a callback
	}
}

// flushOnce takes what was appended, writes the operations without a gap before them, and syncs if
// that is due.
func (j *Journal) flushOnce(now time.Time) {
	j.armed.Store(false)
	j.collect()
	if j.broken.Load() {
		j.discard()
		j.notifySync()
		return
	}
	err := j.write()
	if err == nil {
		err = j.flusher.checkGap(now)
	}
	if err == nil && j.noRoom.Load() {
		err = j.makeRoom()
	}
	if err != nil {
		j.breakWith(err)
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
		if err = j.syncFile(); err == nil {
			f.lastSync = now
			j.synced(written)
		}
	}
	if err == nil && idle {
		err = j.mark()
	}
	if err != nil {
		j.breakWith(err)
	}
}

// syncFile syncs the segment and checks that a start will find it.
func (j *Journal) syncFile() error {
	if err := j.flusher.file.Sync(); err != nil {
		return err
	}
	return j.inPlace()
}

// inPlace returns an error if a start would not find the segment, or the other files that it needs.
func (j *Journal) inPlace() error {
	if err := j.segmentInPlace(); err != nil {
		return err
	}
	if j.opt.check != nil {
		return j.opt.check()
	}
	return nil
}

// segmentInPlace returns an error if a start would not find the segment with everything that was
// written to it.
func (j *Journal) segmentInPlace() error {
	f := &j.flusher
	size := f.seg.size
	if j.opt.Policy == Always {
		size = max(size, f.room.end) // with the zeros
	}
	return inPlace(j.fs, f.seg.name, f.fileID, size)
}

// mark writes a record without operations and syncs it: everything before it is on disk, so damage
// before it is not accepted for a torn tail. It is called when the journal is idle or closed.
func (j *Journal) mark() error {
	f := &j.flusher
	if !f.marked && f.seg.size > segmentHeaderBytes {
		f.beginRecord()
		if err := j.writeOut(); err != nil {
			return err
		}
		if err := j.syncFile(); err != nil {
			return err
		}
	}
	f.wrote, f.marked = false, true
	return nil
}

// synced publishes that everything up to an LSN is on disk.
func (j *Journal) synced(lsn uint64) {
	j.flusher.synced, j.flusher.unsynced = lsn, 0
	j.mu.Lock()
	j.durable.Store(lsn)
	j.changed.Broadcast()
	j.mu.Unlock()
	j.notifySync()
}

func (j *Journal) notifySync() {
	if j.opt.OnSync != nil {
		j.opt.OnSync()
	}
}

// breakWith stops all writing: whether what was written is on disk is no longer known.
func (j *Journal) breakWith(err error) {
	j.fail(fmt.Errorf("cannot write the journal: %w", err))
	j.discard()
	j.notifySync()
}

// discard frees what can never be written.
func (j *Journal) discard() {
	for _, s := range j.flusher.sources {
		s.chunks, s.at = nil, 0
	}
	j.flusher.out = nil
	j.flushed.Store(j.appended.Load())
}

// checkGap returns an error if an operation is missing for too long.
func (f *flusher) checkGap(now time.Time) error {
	g := &f.missing
	waiting := slices.ContainsFunc(f.sources, func(s *source) bool { return len(s.chunks) > 0 })
	switch {
	case !waiting:
		*g = gap{}
	case g.lsn != f.next:
		*g = gap{f.next, 1, now}
	case now.Sub(g.lastCheck) >= gapCheckInterval:
		if g.checks++; g.checks > maxGapChecks {
			return fmt.Errorf("operation %d was never appended", f.next)
		}
		g.lastCheck = now
	}
	return nil
}

// flushLast writes and syncs everything, and writes a last record that says so. The flusher has
// ended.
func (j *Journal) flushLast() {
	f := &j.flusher
	j.want.Store(^uint64(0))
	j.flushOnce(time.Now())
	if err := j.Err(); err == nil {
		if err = j.mark(); err == nil {
			err = j.endSegment()
		}
		if err != nil {
			j.breakWith(err)
		}
	}
	if err := f.file.Close(); err != nil {
		j.fail(err)
	}
	for _, s := range f.sources {
		if lsn, _ := s.head(); lsn != 0 {
			j.fail(fmt.Errorf("operation %d was never appended to the journal, but %d was", f.next, lsn))
		}
	}
	j.fail(ErrClosed)
}
