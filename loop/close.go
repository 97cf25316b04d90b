package loop

import (
	"log/slog"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

const (
	// stalledTime ends a paused connection that reads nothing for this long.
	stalledTime = 30 * time.Second
	// lingerTime is how long a client may take to read the last replies, or to close when the
	// server stops.
	lingerTime = time.Second
)

// finishEvent ends a read event: it closes the connection if that is due, and stops reading the
// socket if much input is buffered while the session waits.
func (s *session) finishEvent() gnet.Action {
	if s.conn.Context() == nil { // closed in a write
		return gnet.None
	}
	action := s.nextAction()
	if action == gnet.Close {
		s.end()
	}
	return action
}

// closeWhenRead closes the connection once the client has taken the last replies, or has read
// nothing for lingerTime.
func (s *session) closeWhenRead() gnet.Action {
	switch {
	case s.unsent():
	case s.state == parting:
		return s.part()
	default:
		return gnet.Close
	}
	now := s.srv.clock.nanos()
	if s.state != lingering {
		s.setState(lingering)
		s.output.lookedAt = now
		s.srv.sessions.pause(s)
	}
	if s.output.over(now, lingerTime) {
		return gnet.Close
	}
	return gnet.None
}

// drain ends a session while the server stops. Once all that has arrived is answered and sent, the
// server closes its side; the client closes its own, or is closed after lingerTime. Closing both
// sides at once would reset the connection if a request is on its way, and replies could be lost.
func (s *session) drain() gnet.Action {
	if s.state == halfClosed {
		if s.output.over(s.srv.clock.nanos(), lingerTime) || s.auth.marks.has(evicted) {
			return gnet.Close
		}
		return gnet.None
	}
	if s.awaits() || s.inExchange() || s.conn.InboundBuffered() > 0 {
		return gnet.None
	}
	if n, err := unix.IoctlGetInt(s.conn.Fd(), unix.SIOCINQ); err == nil && n > 0 {
		return gnet.None // a read event will come
	}
	return s.halfClose()
}

// awaits says whether a reply is due or unsent.
func (s *session) awaits() bool {
	long := s.deferred.long
	waits := long != nil && len(long.waiters)+long.canceled > 0
	return waits || s.state != running || s.output.streams > 0 || s.unsent()
}

// halfClose ends the server's side of the connection. What the client sends from here on is
// dropped.
func (s *session) halfClose() gnet.Action {
	s.end()
	// closed in the write, or not all of it is out
	if s.conn.Context() == nil || s.conn.OutboundBuffered() > 0 {
		return gnet.None
	}
	if err := unix.Shutdown(s.conn.Fd(), unix.SHUT_WR); err != nil {
		return gnet.Close
	}
	s.setState(halfClosed)
	s.output.lookedAt = s.srv.clock.nanos()
	return gnet.None
}

// giveUp closes the connection of a client that exceeds a limit, and logs why.
func (s *session) giveUp(why string, bytes int) gnet.Action {
	s.srv.counters.overrun.Add(1)
	s.srv.acceptLog.warn(
		"connection closed",
		slog.String("peer", peerName(s.peer)),
		slog.String("reason", why),
		slog.Int("bytes", bytes),
	)
	return gnet.Close
}

// badFrame answers a frame that cannot be parsed, and closes the connection.
func (s *session) badFrame(err error) {
	s.srv.counters.badFrames.Add(1)
	s.srv.acceptLog.warn("connection closed", slog.String("peer", peerName(s.peer)), reasonOf(err))
	s.loop.out = engine.AppendError(s.loop.out, 0, &codec.Error{Status: codec.StatusBadFrame, Message: err.Error()})
	s.close()
}

// part ends the server's side of a connection whose last replies are out. What the client still
// sends is dropped; the sweeper closes the connection lingerTime later.
func (s *session) part() gnet.Action {
	s.auth.heard(time.Now().UnixNano())
	s.auth.expect(lingerTime)
	s.srv.unauthenticated.answered(s)
	return s.halfClose()
}

// end tells the client of an encrypted connection that nothing follows, so that it can distinguish
// this end from a cut connection.
func (s *session) end() {
	if s.records == nil || s.state == halfClosed {
		return
	}
	if last, err := s.records.seal.End(nil); err == nil {
		_, _ = s.conn.Write(last) // the connection is closed in any case
	}
}

// nextAction returns whether gnet is to close the connection.
func (s *session) nextAction() gnet.Action {
	waiting := len(s.input.rest())
	if busy := s.awaits(); busy != s.output.busy.Load() {
		s.auth.heard(s.srv.clock.nanos())
		s.output.busy.Store(busy)
	}
	switch {
	case s.ends():
		return s.closeWhenRead()
	case s.conn.OutboundBuffered() > hardOutputBytes:
		return s.giveUp("replies not read", s.conn.OutboundBuffered())
	case s.state == paused && s.output.over(s.srv.clock.nanos(), stalledTime):
		return s.giveUp("replies not read", s.conn.OutboundBuffered())
	case s.state != running && waiting > maxAheadBytes:
		return s.giveUp("requests sent ahead", waiting)
	case s.srv.draining.Load():
		return s.drain()
	}
	if s.state != running {
		s.input.pause(s.conn.Fd())
	}
	return gnet.None
}
