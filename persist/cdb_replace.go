package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Names of the files beside a .cdb file.
const (
	cdbSuffix  = ".cdb"
	prevSuffix = ".prev" // what it held before
	partSuffix = ".part" // being written, and locked meanwhile
	// locked by the server that the file belongs to, or by a program that writes it
	lockSuffix    = ".lock"
	journalSuffix = ".journal" // the directory of the journal
)

// PrevName returns the name under which the file before name is kept.
func PrevName(name string) string { return name + prevSuffix }

// PartName returns the name under which the file name is written.
func PartName(name string) string { return name + partSuffix }

// JournalName returns the name of the directory of a data file's journal.
func JournalName(name string) string { return name + journalSuffix }

// WriteFile writes the file name: fill puts the tables into the Writer. The file that was there is
// kept as PrevName(name). When WriteFile returns nil, both are on disk; after an error, and after a
// crash at any moment, name leads to what it led to before.
//
// Errors: those of Replace; ErrLocked if another program is writing the file; those of the file
// system and of fill. They name the file.
func WriteFile(fsys FS, name string, stamp Stamp, codec Codec, fill func(*Writer) error) (FileInfo, error) {
	info, err := writeFile(fsys, name, stamp, codec, fill)
	if err != nil {
		return info, fmt.Errorf("writing %s: %w", name, err)
	}
	return info, nil
}

func writeFile(fsys FS, name string, stamp Stamp, codec Codec, fill func(*Writer) error) (info FileInfo, err error) {
	if _, err := replaceable(fsys, name); err != nil {
		return FileInfo{}, err
	}
	part := name + partSuffix
	f, err := createPart(fsys, part)
	if err != nil {
		return FileInfo{}, err
	}
	done := false
	defer func() { // after a panic too: a part that stays locked would make all later saves fail
		if !done {
			_ = fsys.Remove(part) // what counts is why it was not written
		}
		err = errors.Join(err, f.Close())
	}()
	if info, err = fillPart(f, stamp, codec, fill); err != nil {
		return info, err
	}
	err = Replace(fsys, part, name)
	done = err == nil
	return info, err
}

func fillPart(f File, stamp Stamp, codec Codec, fill func(*Writer) error) (FileInfo, error) {
	w := NewWriter(&syncingWriter{file: f}, stamp, codec)
	err := fill(w)
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = f.Sync()
	}
	return FileInfo{stamp, w.foot.length, len(w.index), w.foot.items}, err
}

// createPart makes the file that is to take the place of another. Its lock says that a program is
// writing it.
func createPart(fsys FS, part string) (File, error) {
	for {
		if err := removeAbandoned(fsys, part, ID{}); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		f, err := fsys.Create(part)
		if err != nil {
			return nil, err
		}
		named := false
		if err = f.Lock(); err == nil || NoLocks(err) {
			named, err = f.IsNamed(part)
		}
		switch {
		case err != nil:
			return nil, errors.Join(err, f.Close())
		case named:
			return f, nil
		}
		_ = f.Close() // another program has removed it before it was locked
	}
}

// removeAbandoned removes a part that a killed save has left, of one database or, if that is zero,
// of any.
//
// Errors: fs.ErrNotExist; ErrLocked if a program is still writing it; ErrTaken if it is of another
// database; ErrForeign and ErrNotRegular if no save has left it.
func removeAbandoned(fsys FS, part string, database ID) error {
	f, err := openToLock(fsys, part)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if err := f.Lock(); err != nil && !NoLocks(err) {
		return err
	}
	head, err := headOf(f)
	if err != nil {
		return err
	}
	stamp, err := parseHeader(head)
	switch {
	case errors.Is(err, ErrForeign) && !zero(head): // zeros: the header never reached the disk
		return fmt.Errorf("%s: %w, and no save has left it: move it away", part, ErrForeign)
	case database != ID{} && stamp.Database != database:
		return ErrTaken
	}
	switch named, err := f.IsNamed(part); {
	case err != nil:
		return err
	case !named:
		return fs.ErrNotExist
	}
	return fsys.Remove(part)
}

// RemoveAbandoned removes the parts in a directory that killed saves have left, of one database or,
// if that is zero, of any, and other files that are named. It returns the names of what it has
// removed. It leaves what a program is still writing, and what no save has made.
func RemoveAbandoned(fsys FS, dir string, database ID, others ...string) (removed []string, err error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name = joinName(dir, name); strings.HasSuffix(name, cdbSuffix+partSuffix) {
			others = append(others, name)
		}
	}
	for _, name := range others {
		if removeAbandoned(fsys, name, database) == nil { // a save of that name returns the error
			removed = append(removed, name)
			removeFreeLock(fsys, LockName(strings.TrimSuffix(name, partSuffix)))
		}
	}
	return removed, nil
}

// headOf returns the first bytes of a file, enough for the header of a .cdb file.
func headOf(f File) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	head := make([]byte, min(size, cdbHeaderBytes))
	if n, err := f.ReadAt(head, 0); n < len(head) {
		return nil, orEOF(err)
	}
	return head, nil
}

// replaceable says whether there is a file of that name. Errors: ErrForeign for one that is no .cdb
// file, ErrNotRegular.
func replaceable(fsys FS, name string) (there bool, err error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read
	head, err := headOf(f)
	if err != nil {
		return false, err
	}
	if _, err := parseHeader(head); errors.Is(err, ErrForeign) {
		return false, notWrittenOver(name)
	}
	return true, nil
}

func notWrittenOver(name string) error {
	return fmt.Errorf("%s: %w: it is not written over, choose another name or move it away", name, ErrForeign)
}

// Replace gives the file part the name name; the file that was there is kept as PrevName(name).
// There is a file of that name at every moment, if there was one before, except on a file system
// without hard links. When Replace returns nil, that is on disk.
//
// Errors: ErrForeign and ErrNotRegular if one of the two is there and is no .cdb file: it stays.
func Replace(fsys FS, part, name string) error {
	prev := PrevName(name)
	there, err := replaceable(fsys, name)
	if err != nil {
		return err
	}
	keptBefore, err := replaceable(fsys, prev)
	if err != nil {
		return err
	}
	moved := false
	if there {
		if keptBefore {
			if err := fsys.Remove(prev); err != nil {
				return err
			}
		}
		if moved, err = keep(fsys, name, prev); err != nil {
			return err
		}
	}
	if err := fsys.Rename(part, name); err != nil {
		if moved {
			err = errors.Join(err, fsys.Rename(prev, name))
		}
		return err
	}
	return fsys.SyncDir(dirOf(name))
}

// RenameNew gives the file part a name that no file has.
//
// Errors: fs.ErrExist if there is one; those of the file system.
func RenameNew(fsys FS, part, name string) error {
	err := fsys.Link(part, name) // unlike Rename, it never replaces a file
	if err == nil {
		return errors.Join(fsys.Remove(part), fsys.SyncDir(dirOf(name)))
	}
	there, existsErr := exists(fsys, name)
	switch {
	case existsErr != nil:
		return existsErr
	case there:
		return &fs.PathError{Op: "link", Path: name, Err: fs.ErrExist}
	}
	return errors.Join(fsys.Rename(part, name), fsys.SyncDir(dirOf(name))) // a file system without hard links
}

// keep gives a file a second name or, where a file system has no hard links, another one: moved.
func keep(fsys FS, name, second string) (moved bool, err error) {
	if fsys.Link(name, second) == nil {
		return false, nil
	}
	return true, fsys.Rename(name, second)
}

// syncingWriter syncs now and then: one sync of a large file at its end would keep the disk from
// others for long.
type syncingWriter struct {
	file    File
	pending int // bytes written since the last sync
}

func (w *syncingWriter) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	if w.pending += n; err == nil && w.pending >= syncEveryBytes {
		w.pending = 0
		err = w.file.Sync()
	}
	return n, err
}
