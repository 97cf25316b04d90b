package persist

import (
	"errors"
	"fmt"
	"io/fs"
)

// Claimant is a program that is about to write a .cdb file other than its own data file.
type Claimant struct {
	File     string // its own data file; "": none
	Database ID     // of its own data file
	Replace  bool   // a file of another database, or one that has a journal, is to be written over
}

// Claim takes the right to write a file: until release is called no server can start with it, and
// what is there may be written over. name is the file's name as a user gave it, file is where it
// leads.
//
// Errors: ErrLocked if a running server has the file; ErrTaken, without Replace, if it is of
// another database or has a journal; ErrForeign and ErrNotRegular if it is no .cdb file; those of
// the file system. They name the files.
func Claim(fsys FS, name, file string, by Claimant) (release func(), err error) {
	lockName := LockName(file)
	lock, err := LockFile(fsys, lockName)
	switch {
	case errors.Is(err, ErrLocked):
		return nil, fmt.Errorf("%s is the data file of a running server, or another program writes it: %w", file, err)
	case NoLocks(err): // so no server can run there
		release = func() { _ = fsys.Remove(lockName) } // one that stays harms nothing
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

// mayWrite returns an error if what is there must stay.
func (c *Claimant) mayWrite(fsys FS, name, file string) error {
	there, err := c.mayReplace(fsys, file)
	if err == nil && !there { // a server whose file is missing starts with the one before
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
			return fmt.Errorf("%s has a journal, %s: it is the data file of a server that does not run: %w",
				file, journal, ErrTaken)
		}
	}
	return nil
}

// mayReplace says whether there is a file, and returns an error if it must stay.
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
	stamp, err := parseHeader(head)
	switch {
	case errors.Is(err, ErrForeign):
		return true, notWrittenOver(file)
	case c.Replace:
	case err != nil:
		return true, fmt.Errorf("%s: %w, its database is not known: %w", file, err, ErrTaken)
	case c.File == "":
		return true, fmt.Errorf("%s is of database %v: %w", file, stamp.Database, ErrTaken)
	case stamp.Database != c.Database:
		return true, fmt.Errorf("%s is of database %v, %s of database %v: %w",
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

// HasJournal says whether a journal in that directory holds something.
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

// LockDataFile takes the lock of a data file itself, which is one for all of its hard links; that of
// LockFile is one for each name. The lock lasts until the File is closed. The File is nil if there
// is no such file, or no locks. A save makes a new file, which must be held anew.
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
	return nil, nil // the lock of LockFile has to do
}
