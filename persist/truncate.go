package persist

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// truncateTail removes what was not replayed. The result is on disk before it returns: these
// segments are no longer the last ones once the next one begins.
func (j *Journal) truncateTail() error {
	state := j.replayed
	keep := state.keep
	for _, s := range j.segments[keep:] {
		newName, err := j.quarantineSegment(s)
		if err != nil {
			return err
		}
		if state.truncation != nil && newName != "" {
			state.truncation.SavedAs = append(state.truncation.SavedAs, newName)
		}
	}
	if state.truncateAt >= 0 {
		s := &j.segments[keep-1]
		if state.truncation != nil {
			if err := j.saveTruncated(s, state.truncation); err != nil {
				return err
			}
		}
		if state.truncateAt == 0 {
			if err := j.fs.Remove(s.name); err != nil {
				return err
			}
			keep--
		} else if err := truncate(j.fs, s.name, state.truncateAt); err != nil {
			return err
		}
		s.size = state.truncateAt
	}
	// created by a start that wrote nothing
	for keep > 0 && j.segments[keep-1].size == segmentHeaderBytes {
		keep--
		if err := j.fs.Remove(j.segments[keep].name); err != nil {
			return err
		}
	}
	j.segments = slices.Clip(j.segments[:keep])
	// a killed process may have written to it without a sync, and space may be reserved after its
	// records
	if keep > 0 && state.truncateAt < 0 {
		if err := truncate(j.fs, j.segments[keep-1].name, j.segments[keep-1].size); err != nil {
			return err
		}
	}
	return j.fs.SyncDir(j.dir)
}

// quarantineSegment removes a segment after the replayed ones. It returns the new name, or "" if
// the segment is empty and was deleted.
func (j *Journal) quarantineSegment(s segment) (newName string, err error) {
	if s.torn {
		return "", j.fs.Remove(s.name)
	}
	return quarantine(j.fs, s.name)
}

// maxQuarantinedBytes is the most bytes of files that end in ".damaged" up to which torn tails are
// saved: each crash may leave one.
const maxQuarantinedBytes = 256 << 20

// errQuarantineFull is why a torn tail is not saved.
var errQuarantineFull = fmt.Errorf(
	"the files that end in %s have %d MiB or more: inspect and remove them",
	damagedSuffix,
	maxQuarantinedBytes>>20,
)

// saveTruncated saves what is cut off a segment. For a damaged segment that is a copy of all of it;
// for a torn one, the bytes after the cut if there is space.
func (j *Journal) saveTruncated(s *segment, cut *Truncation) error {
	from := int64(0)
	if !cut.Damaged {
		from = cut.Offset
		kept, err := j.quarantinedBytes()
		if err != nil {
			return err
		}
		if kept+s.size-from > maxQuarantinedBytes {
			cut.SaveErr = errQuarantineFull
			return nil
		}
	}
	newName, err := copyDamaged(j.fs, s.name, from)
	switch {
	case err == nil:
		cut.SavedAs = append(cut.SavedAs, newName)
	// the database can be served even if this cannot be saved
	case !cut.Damaged && isFull(err):
		cut.SaveErr = err
		return nil
	}
	return err
}

// quarantinedBytes returns the total length of the quarantined files.
func (j *Journal) quarantinedBytes() (n int64, err error) {
	names, err := j.fs.List(j.dir)
	for _, name := range names {
		if err == nil && strings.HasSuffix(name, damagedSuffix) {
			var size int64
			_, size, err = j.fs.Identify(joinName(j.dir, name))
			n += size
		}
	}
	return n, err
}

func truncate(fsys FS, name string, size int64) error {
	f, err := fsys.Edit(name)
	if err != nil {
		return err
	}
	if err = f.Truncate(size); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// copyDamaged copies a file from an offset on and returns the copy's name. After an error there is
// no copy.
func copyDamaged(fsys FS, name string, from int64) (newName string, err error) {
	src, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = src.Close() }()
	size, err := src.Size()
	if err != nil {
		return "", err
	}
	if newName, err = quarantineName(fsys, name); err != nil {
		return "", err
	}
	dst, err := fsys.Create(newName)
	if err != nil {
		return "", err
	}
	buf := make([]byte, min(size-from, readAhead))
	for at := from; at < size && err == nil; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), size-at)]
		if _, err = src.ReadAt(buf, at); err == nil {
			_, err = dst.Write(buf)
		}
	}
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return "", errors.Join(err, fsys.Remove(newName)) // a partial copy is useless
	}
	return newName, nil
}
