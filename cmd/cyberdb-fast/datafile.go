package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cyberdb-fast/loop"
	"cyberdb-fast/persist"
)

// dataFile is the file in which the tables are stored. One server uses it at a time, whatever its
// data directory is.
type dataFile struct {
	path    string // of the file itself, after following symbolic links
	journal string // the directory next to the link, if there is one, otherwise next to the file
	locks   []persist.File
}

// openDataFile finds and locks the data file. The file may be missing; its directory is created.
//
// Errors name the file and say what to do; if another server has it, also that server's process ID.
func openDataFile(name string) (*dataFile, error) {
	f := &dataFile{}
	if err := f.find(name); err != nil {
		f.close()
		return nil, fmt.Errorf("%w: %w: %s", loop.ErrData, err, dataAdvice(err, f))
	}
	return f, nil
}

// find sets the paths and takes the locks. It also locks the name as given, because a link may be
// changed to lead elsewhere.
func (f *dataFile) find(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	dir, err := filepath.Abs(filepath.Dir(name)) // as f.path, or one name would be locked twice
	if err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	link := filepath.Join(dir, filepath.Base(name))
	if f.path, err = persist.Resolve(link); err != nil {
		return err
	}
	f.journal = loop.JournalDir(link)
	if err := f.take(link); err != nil {
		return err
	}
	if link == f.path {
		return nil
	}
	if err := f.take(f.path); err != nil {
		return err
	}
	return f.oneJournal(link)
}

// take takes the lock of one name.
func (f *dataFile) take(name string) error {
	lock, err := persist.LockFile(persist.OS, persist.LockName(name))
	if err != nil {
		var held *persist.LockError
		if errors.As(err, &held) {
			return fmt.Errorf("the data file %s is in use by process %s: %w", name, held.Holder, persist.ErrLocked)
		}
		return err
	}
	f.locks = append(f.locks, lock)
	return nil
}

// oneJournal returns an error if the file has a journal next to it that is not the link's: that
// journal would not be replayed.
func (f *dataFile) oneJournal(link string) error {
	other := loop.JournalDir(f.path)
	has, err := persist.HasJournal(persist.OS, other)
	if err != nil || !has {
		return err
	}
	if own, err := filepath.EvalSymlinks(f.journal); err == nil && own == other {
		return nil
	}
	return fmt.Errorf(
		"%s leads to %s, which has a journal of its own, %s: give that file with --file",
		link,
		f.path,
		other,
	)
}

// close releases the file.
func (f *dataFile) close() {
	for _, lock := range f.locks {
		_ = lock.Close() // only locked
	}
}
