package bench

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is one epoll instance, level-triggered; the events carry the caller's number for the
// descriptor. One goroutine at a time.
type poller struct {
	fd     int
	events [512]unix.EpollEvent
	idle   bool // the last wait brought nothing
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &poller{fd: fd}, nil
}

func (p *poller) close() { _ = unix.Close(p.fd) } // nothing is lost with it

func (p *poller) add(fd, number int, write bool) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, number, write)
}

func (p *poller) change(fd, number int, write bool) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, number, write)
}

func (p *poller) remove(fd int) error { return p.control(unix.EPOLL_CTL_DEL, fd, 0, false) }

func (p *poller) control(op, fd, number int, write bool) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(number)}
	if write {
		event.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(p.fd, op, fd, &event); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// wait returns the events that are ready, after at most timeout. While there is work, it makes the
// call without the Go scheduler, which costs more than the call itself. It needs Linux 5.11, for
// timeouts below a millisecond.
func (p *poller) wait(timeout time.Duration) ([]unix.EpollEvent, error) {
	var n uintptr
	var errno syscall.Errno
	if !p.idle {
		n, _, errno = unix.RawSyscall6(
			unix.SYS_EPOLL_PWAIT,
			uintptr(p.fd),
			uintptr(unsafe.Pointer(&p.events[0])),
			uintptr(len(p.events)),
			0,
			0,
			0,
		)
	}
	if n == 0 && errno == 0 {
		limit := unix.NsecToTimespec(max(timeout.Nanoseconds(), 0))
		n, _, errno = unix.Syscall6(
			unix.SYS_EPOLL_PWAIT2,
			uintptr(p.fd),
			uintptr(unsafe.Pointer(&p.events[0])),
			uintptr(len(p.events)),
			uintptr(unsafe.Pointer(&limit)),
			0,
			0,
		)
	}
	if errno != 0 {
		n = 0
		if errno != unix.EINTR {
			return nil, fmt.Errorf("epoll: %w", errno)
		}
	}
	p.idle = n == 0
	return p.events[:n], nil
}

// read reads from a non-blocking socket without the Go scheduler; b is not empty.
func read(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return transferred(n, errno)
}

// write writes to a non-blocking socket without the Go scheduler; b is not empty.
func write(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(
		unix.SYS_SENDTO,
		uintptr(fd),
		uintptr(unsafe.Pointer(&b[0])),
		uintptr(len(b)),
		unix.MSG_NOSIGNAL,
		0,
		0,
	)
	return transferred(n, errno)
}

func transferred(n uintptr, errno syscall.Errno) (int, syscall.Errno) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// again says whether the call is to be made again later.
func again(errno syscall.Errno) bool {
	return errno == unix.EAGAIN || errno == unix.EINTR
}
