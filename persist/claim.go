package persist

import (
	"errors"
	"fmt"
	"io/fs"
)

// Claimant is a program that wants to write a .cdb file other than its own data file.
type Claimant struct {
	File     string // its own data file; "": none
	Database ID     // of its own data file
	Replace  bool   // also overwrite a file of another database, or one that has a journal
}

// Claim reserves a file for writing: until release is called, no server can start with it. It
// succeeds only if the file may be overwritten. name is the file's name as the user gave it; file
// is where that leads.
//
// Errors: ErrLocked if a running server has the file; without Replace, ErrTaken if it is of another
// database or has a journal; ErrForeign and ErrNotRegular if it is not a .cdb file; those of the
// file system. They name the files.
func Claim(fsys FS, name, file string, by Claimant) (release func(), err error) {
	lockName := LockName(file)
	lock, err := LockFile(fsys, lockName)
	switch {
	case errors.Is(err, ErrLocked):
		return nil, fmt.Errorf(
			"%s is the data file of a running server, or another program is writing it: %w",
			file, err)
	case NoLocks(err): // no server can run there
		release = func() { _ = fsys.Remove(lockName) } // a file that stays is harmless
	case err != nil:
		return nil, err
	default:
		release = func() { _ = RemoveLock(fsys, lockName, lock) }
	}
	if err := by.mayWrite(fsys, name, file); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// mayWrite returns an error if the existing file must not be overwritten.
func (c *Claimant) mayWrite(fsys FS, name, file string) error {
	there, err := c.mayReplace(fsys, file)
	if err == nil && !there { // a server whose file is missing starts with the previous one
		_, err = c.mayReplace(fsys, PrevName(file))
	}
	if err != nil || c.Replace {
		return err
	}
	for _, journal := range []string{JournalName(name), JournalName(file)} {
		switch has, err := HasJournal(fsys, journal); {
		case err != nil:
			return err
		case has:
			return fmt.Errorf("%s has a journal, %s, so it is the data file of a stopped server: %w",
				file, journal, ErrTaken)
		}
	}
	return nil
}

// mayReplace reports whether the file exists, and returns an error if it must not be overwritten.
func (c *Claimant) mayReplace(fsys FS, file string) (there bool, err error) {
	f, err := openToLock(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read
	if err := c.mayLock(f, file); err != nil {
		return true, err
	}
	head, err := headOf(f)
	if err != nil || len(head) == 0 {
		return true, err
	}
	stamp, _, err := parseHeader(head)
	switch {
	case errors.Is(err, ErrForeign):
		return true, notOverwritten(file)
	case c.Replace:
	case err != nil:
		return true, fmt.Errorf("%s: %w, so its database is unknown: %w", file, err, ErrTaken)
	case c.File == "":
		return true, fmt.Errorf("%s belongs to database %v: %w", file, stamp.Database, ErrTaken)
	case stamp.Database != c.Database:
		return true, fmt.Errorf("%s belongs to database %v, but %s to database %v: %w",
			file, stamp.Database, c.File, c.Database, ErrTaken)
	}
	return true, nil
}

// mayLock returns an error if a running server has the file under another name.
func (c *Claimant) mayLock(f File, file string) error {
	err := f.Lock()
	if !errors.Is(err, ErrLocked) {
		return nil //nolint:nilerr // without locks no server can run there
	}
	if own, err := f.IsNamed(c.File); own || err != nil {
		return err
	}
	return fmt.Errorf("%s is the data file of a running server under another name: %w", file, ErrLocked)
}

// HasJournal reports whether the journal in a directory has segments.
func HasJournal(fsys FS, journal string) (bool, error) {
	names, err := fsys.List(journal)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for _, name := range names {
		if _, is := segmentNumber(name); is {
			return true, nil
		}
	}
	return false, err
}

// LockDataFile takes the lock of a data file itself. All hard links of a file share that lock,
// while LockFile's is per name. The lock lasts until the File is closed. The File is nil if the
// data file does not exist or the file system has no locks. A save creates a new file, which must
// be locked again.
//
// Errors: ErrLocked if a running server has the file under another name; ErrNotRegular; those of
// the file system.
func LockDataFile(fsys FS, file string) (File, error) {
	f, err := openToLock(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = f.Lock()
	if err == nil {
		return f, nil
	}
	_ = f.Close() // only read
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("%s is the data file of a running server under another name: %w", file, ErrLocked)
	}
	return nil, nil // the lock of LockFile must suffice
}
