//go:build unix

package client

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tryWriter writes to a socket without ever waiting for it.
type tryWriter struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool // made once: it would be one allocation a write

	// of the write under way
	b   []byte
	n   int
	err error
}

// newTryWriter returns nil for connections that are no plain sockets.
func newTryWriter(conn net.Conn) *tryWriter {
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
	w := &tryWriter{raw: raw}
	w.call = w.once
	return w
}

// write writes what the socket takes at once, which may be nothing.
func (w *tryWriter) write(b []byte) (n int, err error) {
	w.b, w.n, w.err = b, 0, nil
	err = w.raw.Write(w.call)
	w.b = nil
	if err != nil {
		return w.n, err
	}
	return w.n, w.err
}

func (w *tryWriter) once(fd uintptr) bool {
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
