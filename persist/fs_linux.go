package persist

import (
	"os"

	"golang.org/x/sys/unix"
)

// Sync is fdatasync: the bytes and what is needed to find them, not the times of the file.
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
