package persist

import (
	"errors"
	"fmt"
	"io/fs"
)

// endSegment makes the segment durable, without the space after its records.
func (j *Journal) endSegment() error {
	f := &j.flusher
	if err := f.file.Truncate(f.seg.size); err != nil {
		return err
	}
	f.room.end = f.seg.size
	return f.file.Sync()
}

// rotate syncs the segment, begins the next one, and closes the old one: only the last segment can
// be torn. If the next one cannot be begun, the current one, which is on disk, continues. The next
// attempt follows after SegmentBytes more.
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
	if errors.Is(err, errNoSegment) {
		f.limit = f.seg.size + j.opt.SegmentBytes
		j.setSegmentErr(err)
		return nil
	}
	if err != nil {
		return err
	}
	j.setSegmentErr(nil)
	if j.opt.Policy != Always { // its space was kept until there was a next segment
		err = file.Truncate(size)
	}
	return errors.Join(err, file.Close())
}

// syncSegment syncs a segment before the next one begins. Zeros after its records would then be
// damage.
func (j *Journal) syncSegment() error {
	if j.opt.Policy == Always {
		return j.endSegment()
	}
	return j.flusher.file.Sync()
}

// setSegmentErr records whether the next segment could be begun, and reports a change to
// OnSegmentErr.
func (j *Journal) setSegmentErr(err error) {
	j.mu.Lock()
	changed := (j.segmentErr == nil) != (err == nil)
	j.segmentErr = err
	j.mu.Unlock()
	if changed && j.opt.OnSegmentErr != nil {
		j.opt.OnSegmentErr(err)
	}
}

// errNoSegment is in the error of begin if nothing is left of the segment that could not be
// created.
var errNoSegment = errors.New("cannot begin the journal's next segment")

// begin creates a new segment. Its header is on disk before records follow. Errors: those of the
// file system; with errNoSegment if the file certainly does not exist.
func (j *Journal) begin(number uint64) error {
	f := &j.flusher
	s := segment{
		name:   joinName(j.dir, segmentName(number)),
		id:     j.opt.Database,
		number: number,
		first:  f.next - f.skipped,
		time:   f.time,
		size:   segmentHeaderBytes,
	}
	file, end, err := j.create(&s)
	if errors.Is(err, fs.ErrExist) { // the file of another program: it stays
		return err
	}
	if err != nil {
		if undo := j.removeSegment(s.name); undo != nil {
			return errors.Join(err, undo)
		}
		return fmt.Errorf("%w: %w", errNoSegment, err)
	}
	if f.fileID, _, err = j.fs.Identify(s.name); err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.seg, f.limit, f.seed = file, s, j.opt.SegmentBytes, s.seed()
	f.room.end = end
	j.bytesWritten.Add(s.size)
	j.mu.Lock()
	j.segments = append(j.segments, s)
	j.mu.Unlock()
	return nil
}

// create creates the file of a segment, with its header and space up to end. It is on disk when
// create returns.
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

// removeSegment removes what is left of a segment that could not be begun, also from the disk: if
// it stayed, the segment before it would not be the last, and must not grow.
func (j *Journal) removeSegment(name string) error {
	err := j.fs.Remove(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return j.fs.SyncDir(j.dir)
}
