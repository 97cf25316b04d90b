//go:build unix

package client

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// nonblockingWriter writes to a socket and never blocks.
type nonblockingWriter struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool // w.once, stored so that a write does not allocate it

	// of the current write
	b   []byte
	n   int
	err error
}

// newNonblockingWriter returns nil if conn is not a plain socket.
func newNonblockingWriter(conn net.Conn) *nonblockingWriter {
	var socket syscall.Conn
	switch c := conn.(type) {
	case *net.TCPConn:
		socket = c
	case *net.UnixConn:
		socket = c
	default:
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	w := &nonblockingWriter{raw: raw}
	w.call = w.once
	return w
}

// write writes as much of b as the socket takes at once, and returns that number of bytes.
func (w *nonblockingWriter) write(b []byte) (n int, err error) {
	w.b, w.n, w.err = b, 0, nil
	err = w.raw.Write(w.call)
	w.b = nil
	if err != nil {
		return w.n, err
	}
	return w.n, w.err
}

// once writes until the socket is full. It returns true, so that RawConn.Write does not wait.
func (w *nonblockingWriter) once(fd uintptr) bool {
	for w.n < len(w.b) {
		n, err := unix.Write(int(fd), w.b[w.n:])
		switch {
		case err == nil:
			w.n += n
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return true
		default:
			w.err = err
			return true
		}
	}
	return true
}
