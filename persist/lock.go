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
	Holder string // the ID of its process, "" if unknown
}

// Error names the file and the holder.
func (e *LockError) Error() string {
	return fmt.Sprintf("%s is locked by process %s", e.File, e.Holder)
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockError) Is(target error) bool { return target == ErrLocked }

// LockName returns the name of a data file's lock file.
func LockName(name string) string { return name + lockSuffix }

// LockFile takes the lock of a lock file. It creates the file if necessary, and writes the ID of
// this process to it. Close releases the lock and leaves the file; RemoveLock removes it too.
//
// Errors: *LockError; ErrNotRegular; those of the file system. They name the file.
func LockFile(fsys FS, name string) (File, error) {
	for {
		f, err := openLock(fsys, name)
		if errors.Is(err, fs.ErrExist) { // another program has created it meanwhile
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
			writeHolder(f)
			return f, nil
		}
		_ = f.Close() // another program has removed it
	}
}

// RemoveLock releases a lock of LockFile and removes its file. A program that has opened the file
// meanwhile finds it removed and creates another.
func RemoveLock(fsys FS, name string, f File) error {
	return errors.Join(fsys.Remove(name), f.Close())
}

// removeFreeLock removes a lock file whose lock is free, if it exists.
func removeFreeLock(fsys FS, name string) {
	if there, err := exists(fsys, name); err != nil || !there {
		return
	}
	if lock, err := LockFile(fsys, name); err == nil {
		_ = RemoveLock(fsys, name, lock) // a file that stays is harmless
	}
}

// openLock opens or creates a lock file.
func openLock(fsys FS, name string) (File, error) {
	f, err := openToLock(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return fsys.Create(name)
	}
	return f, err
}

// openToLock opens a file for writing, which locking needs on a network file system; or only for
// reading, if it cannot be written.
func openToLock(fsys FS, name string) (File, error) {
	f, err := fsys.Edit(name)
	if oneOf(err, unix.EROFS, unix.EACCES, unix.EPERM) {
		return fsys.Open(name)
	}
	return f, err
}

const maxHolderBytes = 20

// holderOf returns the process ID in a lock file.
func holderOf(f File) string {
	b := make([]byte, maxHolderBytes)
	n, _ := f.ReadAt(b, 0) // only for the message
	return strings.TrimSpace(string(b[:n]))
}

// writeHolder writes the process ID to a lock file. The lock also works if there is no space for
// that.
func writeHolder(f File) {
	if f.Truncate(0) == nil {
		_, _ = f.Write(fmt.Appendln(nil, os.Getpid()))
	}
}
