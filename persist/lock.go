package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// LockError is returned when another program holds the lock of a file.
type LockError struct {
	File   string
	Holder string // the id of its process, "" if that is not known
}

// Error names the file and the holder.
func (e *LockError) Error() string {
	return fmt.Sprintf("%s is locked by process %s", e.File, e.Holder)
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockError) Is(target error) bool { return target == ErrLocked }

// LockName returns the name of the file whose lock the owner of a data file holds.
func LockName(name string) string { return name + lockSuffix }

// LockFile takes the lock that a file stands for. It makes the file if it is missing, and writes
// the id of this process to it. Close gives the lock up and leaves the file, RemoveLock removes it
// too.
//
// Errors: *LockError; ErrNotRegular; those of the file system. They name the file.
func LockFile(fsys FS, name string) (File, error) {
	for {
		f, err := openLock(fsys, name)
		if errors.Is(err, fs.ErrExist) { // another program has made it meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		named := false
		if err = f.Lock(); err == nil {
			named, err = f.IsNamed(name)
		}
		switch {
		case errors.Is(err, ErrLocked):
			err = &LockError{name, holderOf(f)}
			_ = f.Close()
			return nil, err
		case err != nil:
			return nil, errors.Join(err, f.Close())
		case named:
			nameHolder(f)
			return f, nil
		}
		_ = f.Close() // another program has removed it
	}
}

// RemoveLock gives up a lock of LockFile, and removes its file: a program that has opened that
// meanwhile finds it gone, and makes another.
func RemoveLock(fsys FS, name string, f File) error {
	return errors.Join(fsys.Remove(name), f.Close())
}

// removeFreeLock removes a lock file whose lock no program holds, if there is one.
func removeFreeLock(fsys FS, name string) {
	if there, err := exists(fsys, name); err != nil || !there {
		return
	}
	if lock, err := LockFile(fsys, name); err == nil {
		_ = RemoveLock(fsys, name, lock) // a file that stays harms nothing
	}
}

// openLock opens a lock file, or makes it.
func openLock(fsys FS, name string) (File, error) {
	f, err := openToLock(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return fsys.Create(name)
	}
	return f, err
}

// openToLock opens a file for writing, without which a network file system does not lock it; or for
// reading alone, if it cannot be written.
func openToLock(fsys FS, name string) (File, error) {
	f, err := fsys.Edit(name)
	if oneOf(err, unix.EROFS, unix.EACCES, unix.EPERM) {
		return fsys.Open(name)
	}
	return f, err
}

const maxHolderBytes = 20

// holderOf returns the process id that a lock file holds.
func holderOf(f File) string {
	b := make([]byte, maxHolderBytes)
	n, _ := f.ReadAt(b, 0) // for people only
	return strings.TrimSpace(string(b[:n]))
}

// nameHolder writes the process id to a lock file. Without room for it the lock is held all the
// same.
func nameHolder(f File) {
	if f.Truncate(0) == nil {
		_, _ = f.Write(fmt.Appendln(nil, os.Getpid()))
	}
}
