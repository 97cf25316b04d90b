package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Suffixes of the files that belong to a .cdb file.
const (
	cdbSuffix  = ".cdb"
	prevSuffix = ".prev" // the previous file
	partSuffix = ".part" // a file that is being written, and locked meanwhile
	// The lock of the server that owns the file, or of a program that writes it.
	lockSuffix    = ".lock"
	journalSuffix = ".journal" // the journal's directory
)

// PrevName returns the name of the previous version of a file.
func PrevName(name string) string { return name + prevSuffix }

// PartName returns the name under which a file is written.
func PartName(name string) string { return name + partSuffix }

// JournalName returns the name of the directory of a data file's journal.
func JournalName(name string) string { return name + journalSuffix }

// WriteFile writes a .cdb file: fill writes the tables to the Writer. The file that had the name is
// kept as PrevName(name). When WriteFile returns nil, both are on disk. After an error, and after a
// crash at any time, the name still leads to the old file.
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
	defer func() { // even after a panic: a part that stays locked would make all later saves fail
		if !done {
			_ = fsys.Remove(part) // the reason for the failure matters more
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

// createPart creates the file that will replace another. Its lock says that a program is writing
// it.
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
		_ = f.Close() // another program removed it before it was locked
	}
}

// removeAbandoned removes a part that a killed save has left. A database other than zero restricts
// that to parts of that database.
//
// Errors: fs.ErrNotExist; ErrLocked if a program is still writing it; ErrTaken if it is of another
// database; ErrForeign and ErrNotRegular if it is not from a save.
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
	stamp, _, err := parseHeader(head)
	switch {
	case errors.Is(err, ErrForeign) && !zero(head): // zeros: the header never reached the disk
		return fmt.Errorf("%s: %w and not left by a save; move it away", part, ErrForeign)
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

// RemoveAbandoned removes the parts that killed saves have left in a directory, and the other parts
// that are named. A database other than zero restricts that to parts of that database. It returns
// the names of the removed files. Parts that a program is still writing stay, and so do files that
// are not from a save.
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
		if removeAbandoned(fsys, name, database) == nil { // a save to that name returns the error
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

// replaceable reports whether the file exists. Errors: ErrForeign if it is not a .cdb file;
// ErrNotRegular.
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
	if _, _, err := parseHeader(head); errors.Is(err, ErrForeign) {
		return false, notOverwritten(name)
	}
	return true, nil
}

func notOverwritten(name string) error {
	return fmt.Errorf("%s: %w: refusing to overwrite it; choose another name or move it away", name, ErrForeign)
}

// Replace renames the file part to name and keeps the file that was there as PrevName(name). There
// is always a file with that name, if there was one before, except on a file system without hard
// links. When Replace returns nil, the change is on disk.
//
// Errors: ErrForeign and ErrNotRegular if one of the two exists and is not a .cdb file: it stays.
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
		if moved, err = linkOrRename(fsys, name, prev); err != nil {
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

// RenameNew renames the file part to a name that no file has.
//
// Errors: fs.ErrExist if a file has the name; those of the file system.
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

// linkOrRename gives a file a second name. On a file system without hard links it renames the file:
// moved is true.
func linkOrRename(fsys FS, name, second string) (moved bool, err error) {
	if fsys.Link(name, second) == nil {
		return false, nil
	}
	return true, fsys.Rename(name, second)
}

// syncingWriter syncs at intervals: one sync at the end of a large file would block the disk for
// other programs.
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
