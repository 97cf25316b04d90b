package persist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// FS is the file operations that the package is made of. Names are paths. Errors are those of
// package os: errors.Is finds fs.ErrNotExist.
//
// A name is that of a regular file: Create, Open and Edit never block, and return ErrNotRegular for
// all else, also for a symbolic link. Resolve follows the links of a name that a user has given.
//
// What File.Sync and SyncDir have not confirmed may be lost, in part or whole, by a power cut:
// bytes of a file until its Sync, names in a directory until its SyncDir.
type FS interface {
	Create(name string) (File, error) // a new file, 0600, for reading and writing; an error if there is one
	Open(name string) (File, error)   // for reading
	Edit(name string) (File, error)   // for reading and writing, as it is
	Link(old, name string) error
	Rename(old, name string) error
	Remove(name string) error
	List(dir string) ([]string, error) // the names in a directory, in no order
	MkdirAll(dir string) error         // 0700
	SyncDir(dir string) error
	Identify(name string) (id FileID, size int64, err error) // of the file that the name leads to now
}

// FileID tells a file from all others that exist at the same time, whatever their names.
type FileID struct{ Device, Inode uint64 }

// ErrMoved is returned when a name that was in use does not lead to the same file any more: the
// file or its directory was removed, moved or replaced.
var ErrMoved = errors.New("removed, moved or replaced while it was in use")

// inPlace returns an error if a name does not lead to a file, or if that has become shorter than
// size.
func inPlace(fsys FS, name string, id FileID, size int64) error {
	found, length, err := fsys.Identify(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && found != id:
		return fmt.Errorf("%s was %w", name, ErrMoved)
	case err == nil && length < size:
		return fmt.Errorf("%s was cut to %d of %d bytes by another program", name, length, size)
	}
	return err
}

// File is an open file. Write writes at the position, which is the end of what was written so far
// by Write.
type File interface {
	io.Writer
	io.ReaderAt
	Reserve(from, to int64) error // writes zeros; the position stays
	// Allocate makes room on the disk for the bytes from an offset up to another, without changing
	// the content or the size. Errors: errors.ErrUnsupported is found if the file system cannot.
	Allocate(from, to int64) error
	Sync() error // returns when all that was written is on disk
	Truncate(size int64) error
	Size() (int64, error)
	// takes the lock of the file, until Close; ErrLocked: another open file has it
	Lock() error
	IsNamed(name string) (bool, error) // whether the name leads to this file
	Close() error
}

// OS is the real file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Create(name string) (File, error) {
	return open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
}
func (osFS) Open(name string) (File, error) { return open(name, unix.O_RDONLY) }
func (osFS) Edit(name string) (File, error) { return open(name, unix.O_RDWR) }
func (osFS) Link(old, name string) error    { return os.Link(old, name) }
func (osFS) Rename(old, name string) error  { return os.Rename(old, name) }
func (osFS) Remove(name string) error       { return os.Remove(name) }
func (osFS) MkdirAll(dir string) error      { return os.MkdirAll(dir, 0o700) }

func (osFS) List(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// SyncDir does nothing on a file system that cannot sync directories.
func (osFS) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if oneOf(err, unix.EINVAL, unix.EOPNOTSUPP, unix.ENOSYS) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// Identify follows symbolic links.
func (osFS) Identify(name string) (FileID, int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return FileID{}, 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return FileID{}, 0, fmt.Errorf("%s: the system does not number its files", name)
	}
	// Dev has other types on other systems
	return FileID{uint64(stat.Dev), stat.Ino}, info.Size(), nil //nolint:unconvert
}

type osFile struct{ *os.File }

func (f osFile) Reserve(from, to int64) error {
	_, err := f.WriteAt(make([]byte, to-from), from)
	return err
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Lock takes the lock of flock(2), which ends with the process at the latest.
func (f osFile) Lock() error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return &fs.PathError{Op: "lock", Path: f.Name(), Err: ErrLocked}
		default:
			return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
	}
}

func (f osFile) IsNamed(name string) (bool, error) {
	own, err := f.Stat()
	if err != nil {
		return false, err
	}
	other, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(own, other), err
}

// asideName returns the first of the names that a damaged file is kept under which is free:
// name.damaged, name.2.damaged and so on. What an earlier repair has set aside stays.
func asideName(fsys FS, name string) (string, error) {
	aside := name + damagedSuffix
	for n := 2; ; n++ {
		there, err := exists(fsys, aside)
		if err != nil || !there {
			return aside, err
		}
		aside = fmt.Sprintf("%s.%d%s", name, n, damagedSuffix)
	}
}

// setAside renames a damaged file, and returns the new name.
func setAside(fsys FS, name string) (aside string, err error) {
	if aside, err = asideName(fsys, name); err != nil {
		return "", err
	}
	return aside, fsys.Rename(name, aside)
}

// dirOf returns the directory that a file's name stands in.
func dirOf(name string) string { return filepath.Dir(name) }
