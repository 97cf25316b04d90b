package persist

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Sync is fdatasync: it syncs the bytes and what is needed to find them, but not the file's times.
func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// Allocate is fallocate without changing the size.
func (f osFile) Allocate(from, to int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, to-from)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.EPERM, unix.EINVAL: // EPERM: a system call filter
			return fmt.Errorf("fallocate %s: %w: %w", f.Name(), errors.ErrUnsupported, err)
		default:
			return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
		}
	}
}
