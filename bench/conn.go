package bench

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec/secure"
)

// replyTimeout is how long a server may be silent while requests are in flight.
const replyTimeout = 10 * time.Second

// slot is a place for one request in flight.
type slot struct {
	sent time.Duration // since the loop's epoch; in an open loop when it was due
	item uint32
	id   uint32
	op   Op
	busy bool
}

// conn is one open connection. It belongs to one event loop.
type conn struct {
	// constant once a loop has adopted it
	socket
	number int // in its loop

	// owned by the loop
	slots     []slot
	stream    stream
	inFlight  int
	head      int    // slot of the oldest request, for wires with replies in order
	ticket    uint64 // open loop: number of the next request in the loop's timetable
	free      []int  // open loop: slots without a request, for wires whose replies carry an id
	length    int64  // the length in the last reply to an append
	remainder []byte // front of an incomplete reply
	partial   []byte // front of an incomplete record
	pending   []byte // requests that the socket has not accepted
	written   int    // bytes of pending that it has accepted
	lost      bool
}

func newConn(s socket, pipeline int) *conn { return &conn{socket: s, slots: make([]slot, pipeline)} }

// close ends the connection; closing twice does nothing.
func (c *conn) close() {
	if !c.lost {
		c.lost = true
		_ = unix.Close(c.fd) // every reply that counts has been read
	}
}

// queue appends requests to those pending.
func (c *conn) queue(out []byte) {
	if c.written > len(c.pending)/2 {
		c.pending, c.written = c.pending[:copy(c.pending, c.pending[c.written:])], 0
	}
	c.pending = append(c.pending, out...)
}

// ask sends one request on a connection that has nothing in flight and waits for the reply.
func (c *conn) ask(w wire, request []byte) (reply, error) {
	if c.seal != nil {
		var err error
		if request, err = c.seal.Seal(nil, request); err != nil {
			return reply{}, err
		}
	}
	for len(request) > 0 {
		n, errno := write(c.fd, request)
		if err := c.await(errno, unix.POLLOUT); err != nil {
			return reply{}, err
		}
		request = request[n:]
	}
	var input []byte
	buffer := make([]byte, 4096)
	for {
		n, errno := read(c.fd, buffer)
		if n == 0 && errno == 0 {
			return reply{}, errors.New("the server closed the connection")
		}
		if err := c.await(errno, unix.POLLIN); err != nil {
			return reply{}, err
		}
		plain, err := c.open(buffer[:n])
		if err != nil {
			return reply{}, err
		}
		input = append(input, plain...)
		var r reply
		used, err := w.parse(input, &r)
		if err != nil {
			return reply{}, err
		}
		if used > 0 && r.kind == replyFailure {
			return reply{}, fmt.Errorf("the server answers %s", r.describe())
		}
		if used > 0 {
			return r, nil
		}
	}
}

// open returns the plain bytes: the input itself, or the content of the complete records, decrypted
// in place.
func (c *conn) open(in []byte) (plain []byte, err error) {
	if c.opener == nil {
		return in, nil
	}
	if len(c.partial) > 0 {
		c.partial = append(c.partial, in...)
		in = c.partial
	}
	used := 0
	for {
		part, n, err := c.opener.Open(in[used:])
		if errors.Is(err, secure.ErrShort) {
			break
		}
		if err != nil {
			return nil, err
		}
		if used += n; plain == nil {
			plain = part
		} else { // moves down over what is between the two
			plain = append(plain, part...)
		}
	}
	rest := in[used:]
	if len(c.partial) > 0 && len(plain) > 0 {
		plain = append([]byte(nil), plain...) // the rest moves to its place
	}
	c.partial = append(c.partial[:0], rest...)
	return plain, nil
}

// await waits until the socket is ready if errno says that it was not. It returns another errno.
func (c *conn) await(errno syscall.Errno, events int16) error {
	if errno == 0 {
		return nil
	}
	if !again(errno) {
		return errno
	}
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: events}}, int(replyTimeout.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("poll: %w", err)
	}
	if ready == 0 && err == nil {
		return fmt.Errorf("no reply for %v", replyTimeout)
	}
	return nil
}
