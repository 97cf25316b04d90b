package loop

import (
	"fmt"
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// An event loop divides its time between connections. It executes requests of one connection until
// their estimated cost reaches a quantum. Then the session is preempted: the rest of its input
// waits in its input buffer, and new input waits after it. Each iteration of the loop serves all
// connections that are not preempted, and one quantum of the preempted session that has waited
// longest. So a connection that asks for much waits for itself, not the others for it.

const (
	// quantum is how much a session may use at a time, in estimated nanoseconds. The last request
	// of a quantum may exceed it, by about a millisecond.
	quantum = 500_000
	// closingQuanta is how many quanta a session gets at once when its client has ended the
	// connection.
	closingQuanta = 4
)

// runQueue holds the preempted sessions of an event loop. Owned by the event loop.
type runQueue struct {
	sessions []*session // each once, the one that has waited longest first
	waker    *waker
}

// waker wakes an event loop in its next iteration, after the loop has looked at its sockets. gnet
// has no call for that: a task that is posted by a task runs before the sockets are looked at
// again. The waker is a pair of sockets. One end is a connection of the event loop, and a byte
// written to the other end makes it readable.
type waker struct {
	loop    *eventLoop // constant after OnOpen
	fd      int        // the other end; constant
	pending bool       // a byte is under way; owned by the event loop
}

// openWakers gives each event loop a waker. It is called before there are other connections: gnet
// gives a new connection to the loop that has fewest.
func (srv *Server) openWakers() error {
	for range srv.cfg.EventLoops {
		if err := srv.openWaker(); err != nil {
			return fmt.Errorf("a socket to wake an event loop: %w", err)
		}
	}
	if n := len(srv.loops); n != srv.cfg.EventLoops {
		return fmt.Errorf("sockets to wake event loops: %d of %d loops got one", n, srv.cfg.EventLoops)
	}
	return nil
}

func (srv *Server) openWaker() error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	b := &waker{fd: fds[1]}
	srv.wakers = append(srv.wakers, b)
	file := os.NewFile(uintptr(fds[0]), "waker")
	conn, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		return err
	}
	_, err = srv.events.EnrollContext(conn, b)
	return err
}

// closeWakers closes the ends of the wakers that are not the event loops'.
func (srv *Server) closeWakers() {
	for _, b := range srv.wakers {
		_ = unix.Close(b.fd)
	}
}

// wake makes the loop serve its queue in its next iteration.
func (b *waker) wake() {
	if !b.pending {
		b.pending = true
		_, _ = unix.Write(b.fd, []byte{1}) // there is room: at most one byte is under way
	}
}

// preempt ends the session's quantum: the session continues when its turn in the loop's queue
// comes.
func (s *session) preempt() {
	q := &s.loop.queue
	s.setState(preempted)
	q.sessions = append(q.sessions, s)
	q.waker.wake()
}

// serveQueue gives the session that has waited longest a quantum.
func (l *eventLoop) serveQueue() {
	q := &l.queue
	q.waker.pending = false
	for len(q.sessions) > 0 {
		s := q.sessions[0]
		q.sessions[0] = nil
		q.sessions = q.sessions[1:]
		if s.gone.Load() || s.state != preempted {
			continue
		}
		if s.takeQuantum() == gnet.Close {
			_ = s.conn.EventLoop().Close(s.conn)
		}
		break
	}
	if len(q.sessions) > 0 {
		q.waker.wake()
	}
}

// takeQuantum continues the requests of a preempted session. No panic crosses it.
func (s *session) takeQuantum() (action gnet.Action) {
	defer s.recoverEvent(&action)
	s.setState(running)
	s.input.since = s.srv.clock.nanos()
	s.limitOutput()
	return s.readEvent(nil)
}

// finish continues the requests of a preempted session whose client has closed the connection, for
// closingQuanta at most. No panic crosses it.
func (s *session) finish() {
	action := gnet.None
	defer s.recoverEvent(&action)
	s.setState(running)
	s.loop.begin()
	s.loop.readTime()
	pending := s.input.pending(nil)
	s.executeAll(pending, len(pending), closingQuanta*quantum)
	s.flush()
}
