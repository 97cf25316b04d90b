package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// open opens a regular file. It does not follow a link, and does not wait for the other end of a
// pipe.
func open(name string, flag int) (File, error) {
	fd, err := unix.Open(name, flag|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Open(name, flag|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrExist) {
			if info, infoErr := os.Lstat(name); infoErr == nil && !info.Mode().IsRegular() {
				return nil, NotRegular(name, info.Mode())
			}
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = NotRegular(name, info.Mode())
	}
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return osFile{f}, nil
}

// NotRegular returns the error for a name of anything other than a regular file.
func NotRegular(name string, mode fs.FileMode) error {
	what := "a device"
	switch mode.Type() {
	case fs.ModeDir:
		what = "a directory"
	case fs.ModeSymlink:
		what = "a symbolic link"
	case fs.ModeNamedPipe:
		what = "a pipe"
	case fs.ModeSocket:
		what = "a socket"
	}
	return fmt.Errorf("%s is %s, %w", name, what, ErrNotRegular)
}

// Resolve returns the absolute path of the file that a user's name leads to, through symbolic
// links. The file need not exist. It works on the real file system.
//
// Errors: ErrNotRegular if it is not a regular file; fs.ErrNotExist if a link leads to nothing or
// the directory is missing.
func Resolve(name string) (string, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return "", NotRegular(name, info.Mode())
	case err == nil:
		return filepath.EvalSymlinks(name)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if to, err := os.Readlink(name); err == nil {
		return "", fmt.Errorf("%s is a symbolic link to %s: %w", name, to, fs.ErrNotExist)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	return filepath.Join(dir, filepath.Base(name)), err
}

// oneOf reports whether an error is one of these.
func oneOf(err error, numbers ...unix.Errno) bool {
	return slices.ContainsFunc(numbers, func(n unix.Errno) bool { return errors.Is(err, n) })
}

// NoLocks reports whether an error means that the file system has no locks.
func NoLocks(err error) bool { return oneOf(err, unix.ENOLCK, unix.ENOSYS, unix.EOPNOTSUPP) }

// NoRoom reports whether an error means that the file system accepts no more data: it is full or
// read-only.
func NoRoom(err error) bool { return oneOf(err, unix.ENOSPC, unix.EDQUOT, unix.EROFS) }

// exists reports whether a file exists.
func exists(fsys FS, name string) (bool, error) {
	f, err := fsys.Open(name)
	switch {
	case err == nil:
		return true, f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}
