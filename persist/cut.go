package persist

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// cutTail leaves of the segments what has been replayed. What it does is on disk before it returns:
// from the next segment's beginning on, these segments are no longer the last.
func (j *Journal) cutTail() error {
	state := j.found
	keep := state.keep
	for _, s := range j.segments[keep:] {
		aside, err := j.dropTail(s)
		if err != nil {
			return err
		}
		if state.cut != nil && aside != "" {
			state.cut.SavedAs = append(state.cut.SavedAs, aside)
		}
	}
	if state.cutAt >= 0 {
		s := &j.segments[keep-1]
		if state.cut != nil {
			if err := j.keepCut(s, state.cut); err != nil {
				return err
			}
		}
		if state.cutAt == 0 {
			if err := j.fs.Remove(s.name); err != nil {
				return err
			}
			keep--
		} else if err := truncate(j.fs, s.name, state.cutAt); err != nil {
			return err
		}
		s.size = state.cutAt
	}
	// made by a start after which nothing was written
	for keep > 0 && j.segments[keep-1].size == segmentHeaderBytes {
		keep--
		if err := j.fs.Remove(j.segments[keep].name); err != nil {
			return err
		}
	}
	j.segments = slices.Clip(j.segments[:keep])
	// a process that was killed has written to it, and not synced, and room may be reserved behind
	// it
	if keep > 0 && state.cutAt < 0 {
		if err := truncate(j.fs, j.segments[keep-1].name, j.segments[keep-1].size); err != nil {
			return err
		}
	}
	return j.fs.SyncDir(j.dir)
}

// dropTail takes a segment away that comes after what is kept. aside is its new name, "" if it
// holds nothing.
func (j *Journal) dropTail(s segment) (aside string, err error) {
	if s.torn {
		return "", j.fs.Remove(s.name)
	}
	return setAside(j.fs, s.name)
}

// mostTornBytes is how much the files that end in ".damaged" may have, together, before a torn tail
// is not kept any more: each crash may leave one.
const mostTornBytes = 256 << 20

// errTornKept is why a torn tail is not kept.
var errTornKept = fmt.Errorf(
	"the files that end in %s have %d MiB or more: look at them, and remove them",
	damagedSuffix,
	mostTornBytes>>20,
)

// keepCut keeps what is cut of a segment: of a damaged one a copy of it all, of a torn one the
// bytes behind the cut, if there is room for them.
func (j *Journal) keepCut(s *segment, cut *Truncation) error {
	from := int64(0)
	if !cut.Damaged {
		from = cut.Offset
		kept, err := j.keptBytes()
		if err != nil {
			return err
		}
		if kept+s.size-from > mostTornBytes {
			cut.SaveErr = errTornKept
			return nil
		}
	}
	aside, err := copyAside(j.fs, s.name, from)
	switch {
	case err == nil:
		cut.SavedAs = append(cut.SavedAs, aside)
	// that it could not be kept does not keep what there is from being served
	case !cut.Damaged && isFull(err):
		cut.SaveErr = err
		return nil
	}
	return err
}

// keptBytes returns the length of all files that are kept aside.
func (j *Journal) keptBytes() (n int64, err error) {
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

// copyAside copies a file from an offset on, and returns the copy's name. After an error there is
// no copy.
func copyAside(fsys FS, name string, from int64) (aside string, err error) {
	src, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = src.Close() }()
	size, err := src.Size()
	if err != nil {
		return "", err
	}
	if aside, err = asideName(fsys, name); err != nil {
		return "", err
	}
	dst, err := fsys.Create(aside)
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
		return "", errors.Join(err, fsys.Remove(aside)) // a part of it helps no one
	}
	return aside, nil
}
