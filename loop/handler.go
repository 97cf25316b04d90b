package loop

import (
	"errors"
	"io"

	"github.com/panjf2000/gnet/v2"
)

const (
	readBufferBytes = 64 << 10
)

// handler joins gnet to the sessions.
type handler struct {
	gnet.BuiltinEventEngine
	srv *Server
}

// OnOpen is called on the event loop that a connection was given to.
func (h *handler) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	if b, isWaker := c.Context().(*waker); isWaker {
		b.loop = h.srv.loopOf(c.EventLoop())
		b.loop.queue.waker = b
		return nil, gnet.None
	}
	s := c.Context().(*session)
	s.conn = c
	s.loop = h.srv.loopOf(c.EventLoop())
	s.loop.record.states[s.state].Add(1)
	h.srv.sessions.add(s)
	h.srv.unauthenticated.enter(s)
	h.srv.clock.start() // the sweeper is to see it
	return nil, gnet.None
}

// OnClose is called once for each opened connection, also from inside a write that fails.
func (h *handler) OnClose(c gnet.Conn, err error) gnet.Action {
	s, isSession := c.Context().(*session)
	if !isSession {
		return gnet.None // a waker of an event loop, at the end
	}
	if s.deferred.requests {
		s.loop.executeBatch() // they arrived before the end
	}
	if s.deferred.replies {
		s.loop.replyAll()
	}
	if s.state == preempted && errors.Is(err, io.EOF) {
		s.finish() // they arrived before the end
	}
	h.srv.sessions.remove(s)
	if s.auth.login == nil || h.srv.unauthenticated.leave(s) {
		h.srv.conns.Add(-1)
	}
	s.setState(closed)
	s.gone.Store(true)
	s.output.drop(&h.srv.replies)
	s.dropInput()
	s.unblocked()
	s.dropResult()
	s.endClient()
	s.deferred.long = nil
	s.records.drop()
	s.releaseUnauthenticated()
	return gnet.None
}

// OnTraffic is called when bytes have arrived and when the session was woken. The bytes are valid
// until it returns. No panic crosses it.
func (h *handler) OnTraffic(c gnet.Conn) (action gnet.Action) {
	s, isSession := c.Context().(*session)
	if !isSession {
		h.wakerFired(c)
		return gnet.None
	}
	defer s.recoverEvent(&action)
	if s.deferred.requests {
		s.loop.executeBatch() // its earlier requests come first
		if c.Context() == nil {
			return gnet.None
		}
	}
	in, _ := c.Next(-1)
	if len(in) > 0 && s.auth.login == nil {
		s.auth.heard(h.srv.clock.nanos())
	}
	action = s.readEvent(in)
	if !s.loop.posted {
		s.loop.yield(h.srv)
	}
	return action
}

// wakerFired answers the waker of an event loop.
func (h *handler) wakerFired(c gnet.Conn) {
	_, _ = c.Next(-1)
	l := c.Context().(*waker).loop
	l.serveQueue()
	if l.timers.more {
		l.timers.serve()
	}
	if len(l.resuming) > 0 {
		l.resumeWoken()
	}
	if len(l.ending) > 0 {
		l.endMore()
	}
	if !l.posted {
		l.yield(h.srv)
	}
}
