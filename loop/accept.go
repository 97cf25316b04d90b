package loop

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec/secure"
)

const (
	// maxRefusing is how many connections at once get the reason for their refusal, fewer if there
	// are few descriptors. The rest are only closed.
	maxRefusing = 192
	minRefusing = 16
	// refusalTime is how long a refused client may take to say Hello.
	refusalTime = time.Second
	// partingTime is how long it may take to close after the refusal.
	partingTime = 200 * time.Millisecond

	minAcceptBackoff = 5 * time.Millisecond
	maxAcceptBackoff = time.Second
)

var noDescriptors = &secure.Refusal{
	Code: secure.RefusedTooManyConnections,
	Text: "the server has no file descriptors left",
}

// errNotOpened is returned when an event loop could not watch a connection: gnet closes it without
// an error.
var errNotOpened = errors.New("the event loop could not watch the connection")

// accept takes connections from one listener until it is closed. Running out of descriptors or
// memory is survived: what can be refused is refused, then accepting pauses and continues.
func (srv *Server) accept(ln net.Listener) {
	spare := openSpare()
	defer func() { closeSpare(spare) }()
	backoff := minAcceptBackoff
	for {
		conn, err := ln.Accept()
		if err == nil {
			backoff = minAcceptBackoff
			srv.admit(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		srv.counters.acceptErrors.Add(1)
		srv.acceptLog.warn(
			"cannot accept connections",
			slog.Any("error", err),
			slog.Int64("connections", srv.conns.Load()),
		)
		if spare != nil && (errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)) {
			closeSpare(spare)
			if conn, err := ln.Accept(); err == nil {
				srv.refuseNow(conn, noDescriptors)
			}
			spare = openSpare()
		}
		time.Sleep(backoff)
		backoff = min(2*backoff, maxAcceptBackoff)
	}
}

// openSpare opens a descriptor that can be given up to accept, and refuse, one connection when
// there are no others. It returns nil if there is none left.
func openSpare() *os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return nil
	}
	return f
}

func closeSpare(f *os.File) {
	if f != nil {
		_ = f.Close()
	}
}

// admit hands an accepted connection to an event loop, or refuses it. A panic ends the connection;
// its slot may stay taken.
func (srv *Server) admit(conn net.Conn) {
	defer func() {
		if p := recover(); p != nil {
			_ = srv.reportPanic("panic while a connection was accepted", p, nil)
			_ = conn.Close()
		}
	}()
	if !srv.Allowed(conn.RemoteAddr()) {
		srv.refuse(conn, &secure.Refusal{Code: secure.RefusedAddress, Text: "this address is not allowed"})
		return
	}
	if n := srv.conns.Add(1); n > int64(srv.cfg.MaxConns) {
		srv.conns.Add(-1)
		if !srv.evictFor(conn.RemoteAddr()) {
			srv.refuse(conn, srv.tooManyConnections(""))
			return
		}
	}
	// gnet copies the descriptor, and closes the connection without an error if that fails.
	probe, err := unix.Dup(unix.Stderr)
	if err != nil {
		srv.conns.Add(-1)
		srv.counters.acceptErrors.Add(1)
		srv.acceptLog.warn(
			"cannot accept connections",
			slog.Any("error", err),
			slog.Int64("connections", srv.conns.Load()),
		)
		srv.refuse(conn, noDescriptors)
		return
	}
	_ = unix.Close(probe)
	compact(conn.LocalAddr())
	compact(conn.RemoteAddr())
	s := newSession(srv, conn.RemoteAddr())
	_, err = srv.events.EnrollContext(conn, s)
	if err == nil && s.conn == nil {
		err = errNotOpened
	}
	if err != nil {
		srv.conns.Add(-1)
		srv.counters.acceptErrors.Add(1)
		srv.acceptLog.warn("cannot open a connection", slog.Any("error", err))
	}
}

// compact lets an address that stays in memory as long as its connection hold its bytes alone.
// Those that package net makes are a part of the larger structure that the system call filled.
func compact(addr net.Addr) {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		tcp.IP = bytes.Clone(tcp.IP)
	}
}

// refuse sends a connection the reason why it is refused, once it has said Hello, and closes it.
func (srv *Server) refuse(conn net.Conn, refusal *secure.Refusal) {
	srv.counters.refused.Add(1)
	srv.acceptLog.warn(
		"connection refused",
		slog.String("peer", peerName(conn.RemoteAddr())),
		slog.String("reason", refusal.Text),
	)
	select {
	case srv.refusals <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	go func() {
		defer func() { <-srv.refusals }()
		defer srv.recovered("panic while a connection was refused")
		answerRefusal(conn, refusal, refusalTime)
	}()
}

// refuseNow is refuse for a connection whose descriptor is needed back immediately.
func (srv *Server) refuseNow(conn net.Conn, refusal *secure.Refusal) {
	srv.counters.refused.Add(1)
	answerRefusal(conn, refusal, minAcceptBackoff)
}

func answerRefusal(conn net.Conn, refusal *secure.Refusal, wait time.Duration) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return
	}
	var magic [len(secure.Magic)]byte
	if _, err := io.ReadFull(conn, magic[:]); err != nil {
		return
	}
	if native, _ := secure.IsNative(magic[:]); !native {
		return
	}
	if _, err := conn.Write(secure.AppendRefusal(nil, refusal)); err != nil {
		return
	}
	// What the client has sent must be read, or closing resets the connection and the refusal may
	// be lost.
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	if err := conn.SetDeadline(time.Now().Add(min(wait, partingTime))); err != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, conn, secure.MaxClientBytes)
}
