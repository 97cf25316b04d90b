package persist

import (
	"errors"
	"fmt"
	"io/fs"
)

// endSegment makes the segment durable, without the room behind its records.
func (j *Journal) endSegment() error {
	f := &j.flusher
	if err := f.file.Truncate(f.seg.size); err != nil {
		return err
	}
	f.room.end = f.seg.size
	return f.file.Sync()
}

// rotate syncs the segment, begins the next, and closes the segment: only the last can be torn.
// While the next cannot be begun, the segment, all of which is on disk, goes on, and is asked again
// once it has grown by as much as a segment may have.
func (j *Journal) rotate() error {
	f := &j.flusher
	if err := j.writeOut(); err != nil {
		return err
	}
	if err := j.syncSegment(); err != nil {
		return err
	}
	if err := j.inPlace(); err != nil {
		return err
	}
	j.synced(f.next - 1)
	file, size := f.file, f.seg.size
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
	if j.opt.Policy != Always { // its room was kept until there was a next one
		err = file.Truncate(size)
	}
	return errors.Join(err, file.Close())
}

// syncSegment syncs a segment that is followed by another. Zeros behind its records would be damage
// then.
func (j *Journal) syncSegment() error {
	if j.opt.Policy == Always {
		return j.endSegment()
	}
	return j.flusher.file.Sync()
}

// begun notes whether the next segment could be begun, and tells of a change.
func (j *Journal) begun(err error) {
	j.mu.Lock()
	changed := (j.beginErr == nil) != (err == nil)
	j.beginErr = err
	j.mu.Unlock()
	if changed && j.opt.OnSegmentErr != nil {
		j.opt.OnSegmentErr(err)
	}
}

// errNotBegun is found in the error of begin if nothing is left of the segment that it could not
// make.
var errNotBegun = errors.New("the next segment of the journal cannot be begun")

// begin makes a new segment. Its header is on disk before records follow. Errors: those of the file
// system; with errNotBegun if it is certain that there is no such file.
func (j *Journal) begin(number uint64) error {
	f := &j.flusher
	s := segment{
		name:   joinName(j.dir, segmentName(number)),
		id:     j.opt.Database,
		number: number,
		first:  f.next - f.skipped,
		size:   segmentHeaderBytes,
	}
	file, end, err := j.create(&s)
	if errors.Is(err, fs.ErrExist) { // another's: it stays
		return err
	}
	if err != nil {
		if undo := j.unmake(s.name); undo != nil {
			return errors.Join(err, undo)
		}
		return fmt.Errorf("%w: %w", errNotBegun, err)
	}
	if f.place, _, err = j.fs.Identify(s.name); err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.seg, f.limit, f.seed = file, s, j.opt.SegmentBytes, s.seed()
	f.room.end = end
	j.grown.Add(s.size)
	j.mu.Lock()
	j.segments = append(j.segments, s)
	j.mu.Unlock()
	return nil
}

// create makes the file of a segment, with its header and room up to end. It is on disk then.
func (j *Journal) create(s *segment) (file File, end int64, err error) {
	if file, err = j.fs.Create(s.name); err != nil {
		return nil, 0, err
	}
	if _, err = file.Write(s.appendHeader(nil)); err == nil {
		end, err = j.allocateFirst(file, s.size)
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = j.fs.SyncDir(j.dir)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, end, nil
}

// unmake takes away what is left of a segment that could not be begun, also from the disk: behind
// it the one before is not the last, and must not grow.
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
