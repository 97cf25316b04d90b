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
// waits in its input buffer, and new input waits behind it. Each iteration of the loop serves all
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
	bell     *bell
}

// bell wakes an event loop in its next iteration, after the loop has looked at its sockets. gnet
// has no call for that: a task that is posted by a task runs before the sockets are looked at
// again. The bell is a pair of sockets. One end is a connection of the event loop, and a byte
// written to the other end makes it readable.
type bell struct {
	loop *eventLoop // constant after OnOpen
	fd   int        // the other end; constant
	rung bool       // a byte is under way; owned by the event loop
}

// hangBells gives each event loop a bell. It is called before there are other connections: gnet
// gives a new connection to the loop that has fewest.
func (srv *Server) hangBells() error {
	for range srv.cfg.EventLoops {
		if err := srv.hangBell(); err != nil {
			return fmt.Errorf("a socket to wake an event loop: %w", err)
		}
	}
	if n := len(srv.loops); n != srv.cfg.EventLoops {
		return fmt.Errorf("sockets to wake event loops: %d of %d loops got one", n, srv.cfg.EventLoops)
	}
	return nil
}

func (srv *Server) hangBell() error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	b := &bell{fd: fds[1]}
	srv.bells = append(srv.bells, b)
	file := os.NewFile(uintptr(fds[0]), "bell")
	conn, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		return err
	}
	_, err = srv.events.EnrollContext(conn, b)
	return err
}

// closeBells closes the ends of the bells that are not the event loops'.
func (srv *Server) closeBells() {
	for _, b := range srv.bells {
		_ = unix.Close(b.fd)
	}
}

// ring makes the loop serve its queue in its next iteration.
func (b *bell) ring() {
	if !b.rung {
		b.rung = true
		_, _ = unix.Write(b.fd, []byte{1}) // there is room: at most one byte is under way
	}
}

// preempt ends the session's quantum: the session goes on when its turn in the loop's queue comes.
func (s *session) preempt() {
	q := &s.loop.queue
	s.to(preempted)
	q.sessions = append(q.sessions, s)
	q.bell.ring()
}

// serveQueue gives the session that has waited longest a quantum.
func (l *eventLoop) serveQueue() {
	q := &l.queue
	q.bell.rung = false
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
		q.bell.ring()
	}
}

// takeQuantum continues the requests of a preempted session. No panic crosses it.
func (s *session) takeQuantum() (action gnet.Action) {
	defer s.recoverEvent(&action)
	s.to(running)
	s.input.since = s.srv.clock.nanos()
	s.limitOutput()
	return s.readEvent(nil)
}

// finish continues the requests of a preempted session whose client has closed the connection, for
// closingQuanta at most. No panic crosses it.
func (s *session) finish() {
	action := gnet.None
	defer s.recoverEvent(&action)
	s.to(running)
	s.loop.begin()
	pending := s.input.pending(nil)
	s.executeAll(pending, len(pending), closingQuanta*quantum)
	s.flush()
}
