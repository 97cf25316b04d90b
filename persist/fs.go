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

// FS has the file operations that the package needs. Names are paths. Errors are those of package
// os: errors.Is finds fs.ErrNotExist.
//
// Names must be those of regular files: Create, Open and Edit never block, and return ErrNotRegular
// for anything else, including symbolic links. Resolve follows the links of a user's name.
//
// A power cut may lose, in part or completely, what was not confirmed: bytes of a file until its
// Sync, names in a directory until its SyncDir.
type FS interface {
	Create(name string) (File, error) // a new file, 0600, for reading and writing; an error if it exists
	Open(name string) (File, error)   // for reading
	Edit(name string) (File, error)   // for reading and writing
	Link(old, name string) error
	Rename(old, name string) error
	Remove(name string) error
	List(dir string) ([]string, error) // the names in a directory, unordered
	MkdirAll(dir string) error         // 0700
	SyncDir(dir string) error
	Identify(name string) (id FileID, size int64, err error) // of the file that the name leads to now
}

// FileID distinguishes a file from all others that exist at the same time, whatever their names.
type FileID struct{ Device, Inode uint64 }

// ErrMoved is returned when a name no longer leads to the file in use: the file or its directory
// was removed, moved or replaced.
var ErrMoved = errors.New("removed, moved or replaced while it was in use")

// inPlace returns an error if a name does not lead to the file, or if the file is shorter than
// size.
func inPlace(fsys FS, name string, id FileID, size int64) error {
	found, length, err := fsys.Identify(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && found != id:
		return fmt.Errorf("%s was %w", name, ErrMoved)
	case err == nil && length < size:
		return fmt.Errorf("%s was truncated to %d of %d bytes by another program", name, length, size)
	}
	return err
}

// File is an open file. Write appends after the last Write.
type File interface {
	io.Writer
	io.ReaderAt
	Reserve(from, to int64) error // writes zeros; the position stays
	// Allocate reserves disk space for a range of bytes without changing content or size. Errors:
	// errors.ErrUnsupported if the file system cannot.
	Allocate(from, to int64) error
	Sync() error // returns when everything written is on disk
	Truncate(size int64) error
	Size() (int64, error)
	// Lock locks the file until Close. Errors: ErrLocked if another open file has the lock.
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
	return FileID{uint64(stat.Dev), stat.Ino}, info.Size(), nil //nolint:unconvert // other systems have another type
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

// Lock uses flock(2), whose lock ends with the process at the latest.
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

// quarantineName returns the first free name for a damaged file: name.damaged, name.2.damaged and
// so on. Files that an earlier repair has quarantined stay.
func quarantineName(fsys FS, name string) (string, error) {
	newName := name + damagedSuffix
	for n := 2; ; n++ {
		there, err := exists(fsys, newName)
		if err != nil || !there {
			return newName, err
		}
		newName = fmt.Sprintf("%s.%d%s", name, n, damagedSuffix)
	}
}

// quarantine renames a damaged file and returns the new name.
func quarantine(fsys FS, name string) (newName string, err error) {
	if newName, err = quarantineName(fsys, name); err != nil {
		return "", err
	}
	return newName, fsys.Rename(name, newName)
}

// dirOf returns the directory of a file.
func dirOf(name string) string { return filepath.Dir(name) }
