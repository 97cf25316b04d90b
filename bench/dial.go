package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec/secure"
)

const (
	dialWindow  = 128              // connections being opened at once
	dialTries   = 8                // attempts for one connection
	dialTimeout = 10 * time.Second // without any progress
	firstPause  = 5 * time.Millisecond
	longPause   = 200 * time.Millisecond
)

// errHungUp is the error of an attempt whose connection the server closed before the opening was
// complete.
var errHungUp = errors.New("the server closed it while it was being opened")

// socket is an open connection: a non-blocking descriptor and its encryption.
type socket struct {
	fd     int
	seal   *secure.Sealer // nil: plain
	opener *secure.Opener
}

// attempt is a connection being opened.
type attempt struct {
	socket
	tries     int
	connected bool
	side      opening
	input     []byte
}

// dialer opens connections, a window of them at a time. It backs off while the server's backlog is
// full.
type dialer struct {
	// constant after dial
	ctx    context.Context
	target Target
	wire   wire
	addr   unix.Sockaddr
	family int

	poller   *poller
	attempts []attempt
	next     int   // the first one not tried yet
	again    []int // to be tried again
	opening  int
	opened   int
	pause    time.Duration
	resume   time.Time
	progress time.Time
	in       [2048]byte
	out      []byte
}

// dial opens count connections. Errors: one line that says what is wrong and what to do; all
// connections are closed then.
func dial(ctx context.Context, target Target, w wire, count int) ([]socket, error) {
	addr, family, err := resolve(target)
	if err != nil {
		return nil, err
	}
	poller, err := newPoller()
	if err != nil {
		return nil, err
	}
	defer poller.close()
	d := &dialer{
		ctx: ctx, target: target, wire: w, addr: addr, family: family, poller: poller,
		attempts: make([]attempt, count), pause: firstPause, progress: time.Now(),
	}
	for i := range d.attempts {
		d.attempts[i].fd = -1
	}
	if err := d.run(); err != nil {
		for i := range d.attempts {
			d.attempts[i].close()
		}
		return nil, err
	}
	sockets := make([]socket, count)
	for i := range sockets {
		sockets[i] = d.attempts[i].socket
	}
	return sockets, nil
}

func (a *attempt) close() {
	if a.fd >= 0 {
		_ = unix.Close(a.fd) // it was never used
		a.fd = -1
	}
}

// resolve turns the target's address into a socket address.
func resolve(t Target) (unix.Sockaddr, int, error) {
	if t.Network == "unix" {
		return &unix.SockaddrUnix{Name: t.Address}, unix.AF_UNIX, nil
	}
	addr, err := net.ResolveTCPAddr("tcp", t.Address)
	if err != nil {
		return nil, 0, fmt.Errorf("address %s: %w", t.Address, err)
	}
	if ip4 := addr.IP.To4(); ip4 != nil {
		return &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(ip4)}, unix.AF_INET, nil
	}
	return &unix.SockaddrInet6{Port: addr.Port, Addr: [16]byte(addr.IP.To16())}, unix.AF_INET6, nil
}

func (d *dialer) run() error {
	for d.opened < len(d.attempts) {
		if d.ctx.Err() != nil {
			return ErrInterrupted
		}
		if err := d.startMore(); err != nil {
			return err
		}
		events, err := d.poller.wait(firstPause)
		if err != nil {
			return err
		}
		for i := range events {
			number := int(events[i].Fd)
			if err := d.step(number); err != nil {
				if err := d.failed(number, err); err != nil {
					return err
				}
			}
		}
		if time.Since(d.progress) > dialTimeout {
			return fmt.Errorf(
				"%d of %d connections to %s are open and the next get no answer for %v",
				d.opened,
				len(d.attempts),
				d.target,
				dialTimeout,
			)
		}
	}
	return nil
}

// startMore fills the window.
func (d *dialer) startMore() error {
	for d.opening < dialWindow && time.Now().After(d.resume) {
		number := d.next
		switch {
		case len(d.again) > 0:
			number, d.again = d.again[0], d.again[1:]
		case d.next < len(d.attempts):
			d.next++
		default:
			return nil
		}
		d.opening++
		if err := d.start(number); err != nil {
			if err := d.failed(number, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *dialer) start(number int) error {
	fd, err := unix.Socket(d.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	a := &d.attempts[number]
	*a = attempt{socket: socket{fd: fd}, tries: a.tries + 1}
	if a.side, err = d.wire.open(); err != nil {
		return err
	}
	if d.family != unix.AF_UNIX {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, d.addr); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	return d.poller.add(fd, number, true)
}

// step continues with a connection whose socket is ready.
func (d *dialer) step(number int) error {
	a := &d.attempts[number]
	if !a.connected {
		errno, err := unix.GetsockoptInt(a.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil {
			return err
		}
		if errno != 0 {
			return syscall.Errno(errno)
		}
		a.connected = true
		if err := a.send(a.side.begin(d.out[:0])); err != nil {
			return err
		}
		return d.poller.change(a.fd, number, false)
	}
	n, errno := read(a.fd, d.in[:])
	if n == 0 {
		if errno == 0 {
			return errHungUp
		}
		if again(errno) {
			return nil
		}
		return errno
	}
	a.input = append(a.input, d.in[:n]...)
	used, out, done, err := a.side.advance(a.input, d.out[:0])
	if err != nil {
		return err
	}
	a.input = a.input[used:]
	if err := a.send(out); err != nil || !done {
		return err
	}
	d.opening--
	d.opened++
	d.pause, d.progress = firstPause, time.Now()
	if side, may := a.side.(encrypter); may {
		a.seal, a.opener = side.records()
	}
	a.side, a.input = nil, nil
	return d.poller.remove(a.fd)
}

// send writes an opening message, which is smaller than the buffer of a fresh socket.
func (a *attempt) send(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	n, errno := write(a.fd, out)
	if errno != 0 {
		return errno
	}
	if n < len(out) {
		return fmt.Errorf("the socket takes %d of %d bytes", n, len(out))
	}
	return nil
}

// failed handles a connection that could not be opened. It returns nil to try again after a pause,
// or the error that ends dial.
func (d *dialer) failed(number int, cause error) error {
	a := &d.attempts[number]
	a.close()
	d.opening--
	retry := errors.Is(cause, unix.ECONNREFUSED) || errors.Is(cause, unix.ECONNRESET) ||
		errors.Is(cause, unix.ETIMEDOUT) ||
		errors.Is(cause, errHungUp)
	if errors.Is(cause, unix.EAGAIN) || (retry && d.opened > 0) {
		if a.tries < dialTries {
			d.again = append(d.again, number)
			d.resume = time.Now().Add(d.pause)
			d.pause = min(2*d.pause, longPause)
			return nil
		}
	}
	return d.explain(number, cause)
}

// explain says in one line why a connection could not be opened, and what to do.
func (d *dialer) explain(number int, cause error) error {
	var refusal *secure.Refusal
	switch {
	case errors.As(cause, &refusal) && refusal.Code == secure.RefusedPassword:
		return fmt.Errorf(
			"%s: %s: give the server's in CYBERDB_PASSWORD, CYBERDB_PASSWORD_FILE or --password-file",
			d.target,
			refusal.Text,
		)
	case errors.As(cause, &refusal) && refusal.Code == secure.RefusedEncryption:
		return fmt.Errorf("%s: %s (here: --encrypt)", d.target, refusal.Text)
	case errors.As(cause, &refusal):
		return fmt.Errorf("%s refuses connection %d of %d: %s", d.target, number+1, len(d.attempts), refusal.Text)
	case errors.Is(cause, unix.ECONNREFUSED), errors.Is(cause, unix.ENOENT):
		return fmt.Errorf(
			"nothing listens at %s: start the server, or say where it is with -H and -p, --unix or --target",
			d.target,
		)
	case errors.Is(cause, unix.EMFILE):
		return fmt.Errorf("connection %d of %d: no file descriptors left: raise `ulimit -n`", number+1, len(d.attempts))
	case errors.Is(cause, unix.EADDRNOTAVAIL):
		return fmt.Errorf(
			"connection %d of %d: no local ports left: wait a minute, or widen net.ipv4.ip_local_port_range",
			number+1,
			len(d.attempts),
		)
	}
	return fmt.Errorf("connection %d of %d to %s: %w", number+1, len(d.attempts), d.target, cause)
}
