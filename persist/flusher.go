package persist

import (
	"errors"
	"time"

	"cyberdb-fast/persist/sequence"
)

// flusher is the part of a Journal that the sequencer's goroutine owns.
type flusher struct {
	next     uint64 // the next LSN to be written
	skipped  uint64 // LSNs before next that no record has; the next record begins with them
	time     int64  // the highest so far, of operations and of the time at the start
	synced   uint64 // the last LSN whose record is on disk
	settled  uint64 // the same, or the last LSN that the start has skipped: nothing up to it needs a sync
	pending  int64  // bytes of the operations in out, by Operation.Bytes
	unsynced int64  // bytes written since the last sync
	lastSync time.Time

	wrote     bool // since the last Write
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
	before int64 // time of the operation before the next one in the record; at first, of the segment
}

// journalFile is the journal as the sequencer's File.
type journalFile struct{ *Journal }

// Delay implements sequence.File. If the disk is full and changes are already refused, nothing
// stays in memory.
func (j journalFile) Delay() time.Duration {
	if j.noRoom.Load() {
		return 0
	}
	return writeDelay
}

// Wake implements sequence.File.
func (j journalFile) Wake() (after time.Duration, ok bool) {
	f := &j.flusher
	switch {
	case j.noRoom.Load():
		return roomRetry, true
	case j.opt.Policy == EverySecond && j.written.Load() > f.settled:
		return time.Until(f.lastSync.Add(syncDelay)), true
	case !f.marked:
		return time.Until(f.lastWrite.Add(markDelay)), true
	}
	return 0, false
}

// Write implements sequence.File: it writes the operations, and syncs if that is due.
func (j journalFile) Write(now time.Time, b *sequence.Batch, want uint64) error {
	err := j.write(b)
	if err == nil && j.noRoom.Load() {
		err = j.makeRoom()
	}
	if err != nil {
		j.flusher.out = nil
		return err
	}
	f := &j.flusher
	if f.wrote {
		f.wrote, f.marked, f.lastWrite = false, false, now
	}
	idle := !f.marked && now.Sub(f.lastWrite) >= markDelay
	written := j.written.Load()
	due := idle || j.opt.Policy == Always || want > f.settled ||
		j.opt.Policy == EverySecond && now.Sub(f.lastSync) >= syncDelay
	if written > f.settled && due {
		if err := j.syncFile(); err != nil {
			return err
		}
		f.lastSync = now
		j.synced(written)
	}
	if idle {
		return j.mark()
	}
	return nil
}

// Close implements sequence.File: it writes a last record that says that everything is on disk.
func (j journalFile) Close() error {
	err := j.Err()
	if err == nil {
		if err = j.mark(); err == nil {
			err = j.endSegment()
		}
	}
	return errors.Join(err, j.flusher.file.Close())
}

// syncFile syncs the segment and checks that a start will find it.
func (j *Journal) syncFile() error {
	began := time.Now()
	if err := j.flusher.file.Sync(); err != nil {
		return err
	}
	if j.opt.SyncTook != nil {
		j.opt.SyncTook(time.Since(began))
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
	j.flusher.synced, j.flusher.settled, j.flusher.unsynced = lsn, lsn, 0
	j.Synced(lsn)
}
