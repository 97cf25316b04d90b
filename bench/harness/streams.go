package harness

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// FullPipe returns a pipe that is full: a write to it blocks until the pipe is read.
func FullPipe() (reader, writer *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	reader, writer = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	err = unix.SetNonblock(fds[1], true)
	for size := 4096; size > 0 && err == nil; {
		if _, err = unix.Write(fds[1], make([]byte, size)); errors.Is(err, unix.EAGAIN) {
			size, err = size/2, nil
		}
	}
	return reader, writer, errors.Join(err, unix.SetNonblock(fds[1], false))
}
