package loop

import (
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/loop/engine"
)

// session is one connection: its state, and four parts that own the rest. DESIGN.md says which
// goroutine may touch what.
type session struct {
	// constant after open
	srv  *Server
	conn gnet.Conn
	loop *eventLoop
	peer net.Addr

	auth     auth
	input    input
	output   output
	deferred deferred

	// owned by the event loop
	legacy  *legacySession // nil: a native connection
	records *records       // nil: the connection is not encrypted
	state   state

	client atomic.Pointer[engine.Client] // made when it is needed, by any goroutine
	gone   atomic.Bool                   // closed; written by the event loop, read by any goroutine
}

func newSession(srv *Server, peer net.Addr) *session {
	s := &session{srv: srv, peer: peer, auth: auth{login: newLogin(srv, peer)}}
	s.auth.heard(time.Now().UnixNano())
	s.auth.expect(srv.firstTimeout(peer))
	s.auth.opened = tenthsOf(srv.time.monotonic())
	return s
}

// recoverEvent, deferred, turns a panic into the end of the connection, and reports it.
func (s *session) recoverEvent(action *gnet.Action) {
	p := recover()
	if p == nil {
		return
	}
	*action = gnet.Close
	_ = s.srv.reportPanic(
		"panic, connection closed",
		p,
		s.loop.exec.Call(),
		slog.String("peer", peerName(s.peer)),
		slog.String("op", s.loop.exec.Op.String()),
	)
}

// wake makes the session's event loop call OnTraffic for it. It may be called from any goroutine.
func (s *session) wake() { _ = s.conn.Wake(nil) }

// Client implements engine.Connection.
func (s *session) Client() *engine.Client {
	if c := s.client.Load(); c != nil {
		return c
	}
	c := s.srv.engine.NewClient()
	if !s.client.CompareAndSwap(nil, c) {
		return s.client.Load()
	}
	if s.gone.Load() {
		c.Close(0)
	}
	return c
}

// endClient ends what the engine keeps for the connection, which is closed.
func (s *session) endClient() {
	c := s.client.Load()
	if c == nil {
		return
	}
	if giveBack := c.Close(s.conn.OutboundBuffered()); giveBack != nil {
		s.goBackground(giveBack)
	}
}
