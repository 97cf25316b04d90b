package loop

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"cyberdb-fast/codec/foreign"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/secure"
)

// CyberDB's own wire, for clients that know no other (codec/legacy). A connection that does not
// begin as a native one speaks it. Each of its requests is translated to the native protocol and
// goes through the same command table. Nothing is pipelined, so each request that takes long runs
// in the background.
//
// The password is inside each request, so a client that has not authenticated may send a complete
// frame.

const (
	// legacyProgress is how many bytes of a client's first request count as progress.
	legacyProgress = legacy.BlockBytes
	// legacyControlTime is how long an announcement, or the answer to one, may take to arrive:
	// CyberDB's server reads it immediately.
	legacyControlTime = time.Second
	// legacySilence is how long a client on another machine may send nothing at all. One on this
	// machine may do so for ever, because CyberDB's clients open connections before they need them.
	legacySilence = 10 * time.Minute
	// legacyInlineBytes is the size above which a request is read in the background.
	legacyInlineBytes = 16 << 10
)

// legacyServer is what the connections of CyberDB's wire share.
type legacyServer struct {
	unauthenticated atomic.Int64 // input of connections that have not authenticated, in bytes
	limit           int64        // of these; constant
	// firstRequest has one token: for the one large request that is read of unauthenticated
	// clients.
	firstRequest chan struct{}
}

func (l *legacyServer) init(limit int64) {
	l.firstRequest, l.limit = make(chan struct{}, 1), limit
}

// legacySession is the state that only a session of CyberDB's wire has.
type legacySession struct {
	// owned by the event loop
	wire            *legacy.Wire
	reply           []byte // sealed; it is sent once the client is ready for it
	unauthenticated int64  // its bytes in the server's count
	progress        int    // bytes of the current message when it last made progress
	queued          bool   // the first request has been in the queue of logins
	drained         time.Time

	// written in the background, taken by the event loop
	answer atomic.Pointer[legacyAnswer]
}

// legacyAnswer is the outcome of a request in the background.
type legacyAnswer struct {
	reply    []byte
	err      error
	executed backgroundReply // by the native request; of no request: it was not executed
}

// firstTimeout is how long a new connection may send nothing.
func (srv *Server) firstTimeout(peer net.Addr) time.Duration {
	switch {
	case !srv.cfg.Legacy:
		return handshakeTime
	case srv.access.Load().idle > 0:
		return max(srv.access.Load().idle, handshakeTime)
	case originOf(peer).IsValid():
		return legacySilence
	}
	return math.MaxInt64
}

// speaksLegacy says whether the connection speaks CyberDB's wire: its first bytes, of which in are
// the last, begin neither the native protocol nor another known one. It is called until the
// protocol is certain.
func (s *session) speaksLegacy(in []byte) bool {
	if s.auth.login == nil || s.auth.login.native || !s.srv.cfg.Legacy {
		return false
	}
	if !s.input.empty() {
		in = append(slices.Clip(s.input.rest()), in...)
	}
	if len(in) == 0 {
		return false
	}
	native, sure := secure.IsNative(in)
	s.auth.login.native = native && sure
	wait := legacyControlTime
	if native {
		wait = handshakeTime
	}
	if s.auth.expect(wait) {
		s.auth.heard(time.Now().UnixNano())
	}
	if native {
		return false
	}
	other, sure := s.clientProtocol(in)
	return sure && other == foreign.Unknown
}

// beginLegacy turns the session into one of CyberDB's wire.
func (s *session) beginLegacy() {
	s.legacy = &legacySession{wire: legacy.NewWire(s.srv.access.Load().cipher)}
	s.auth.expect(legacyControlTime)
	s.auth.heard(time.Now().UnixNano())
	if s.auth.login.from.IsValid() && !s.srv.cfg.LegacyInsecure {
		s.refused(
			errors.New(
				"CyberDB's own wire protects nothing: without --legacy-insecure only this machine may use it",
			),
		)
	}
}

// serveLegacy takes what has arrived of the current exchange.
func (s *session) serveLegacy(in []byte) {
	l := s.legacy
	s.takeLegacyAnswer()
	pending := s.input.pending(in)
	if s.state != running || len(pending) == 0 {
		s.save(pending, 0, in)
		return
	}
	message, err := l.wire.Next(pending, s.loop.legacy.Unpickler())
	if message == nil && l.wire.Step() != legacy.AwaitBody {
		s.auth.marks.set(messageStarted)
	} else {
		s.auth.marks.clear(messageStarted)
	}
	switch {
	case err != nil:
		s.legacyEnds(err)
	case message == nil:
		s.save(pending, 0, in)
		s.limitUnauthenticated(len(pending))
	case l.wire.Step() == legacy.AwaitBody && s.waitsForLogin():
		s.save(pending, 0, in)
		s.limitUnauthenticated(len(pending))
	default:
		s.legacyMessage(message)
		s.input.drop()
		l.progress = 0
		s.auth.heard(time.Now().UnixNano())
	}
}

// legacyMessage takes a complete message.
func (s *session) legacyMessage(message []byte) {
	l, u := s.legacy, s.loop.legacy.Unpickler()
	switch l.wire.Step() {
	case legacy.AwaitCount:
		var err error
		if s.loop.out, err = l.wire.Counted(s.loop.out, message, u); err != nil {
			s.legacyEnds(err)
			return
		}
		s.auth.expect(handshakeTime)
	case legacy.AwaitBody:
		s.legacyRequest(message)
	case legacy.AwaitReady:
		if !legacy.IsReady(message, u) {
			s.legacyEnds(fmt.Errorf("%w: not ready for the reply", legacy.ErrGarbage))
			return
		}
		l.wire.Done()
		s.sendLegacy()
	}
}

// legacyRequest executes a request, here or in the background.
func (s *session) legacyRequest(message []byte) {
	if s.auth.login != nil && !s.srv.unauthenticated.work(s) {
		s.refuseEvicted()
		return
	}
	if len(message) <= legacyInlineBytes {
		s.loop.legacy.Quick = true
		reply, err := s.loop.legacy.answer(s.srv, message, s.executeLegacy)
		if !errors.Is(err, legacy.ErrLong) {
			s.legacyAnswered(reply, err)
			return
		}
	}
	l, own, peer, arrived := s.legacy, bytes.Clone(message), s.peer, s.loop.arrived
	extra := s.srv.extraLong
	if len(own) > legacyInlineBytes {
		extra = s.srv.extraShort
	}
	unauthenticated := s.auth.login != nil
	s.setState(background)
	s.auth.marks.set(working)
	s.goBackground(func() {
		if unauthenticated {
			s.srv.legacy.firstRequest <- struct{}{}
			defer func() { <-s.srv.legacy.firstRequest }()
		}
		w := s.srv.beginWork(extra)
		defer w.end()
		a := s.srv.answerLegacy(w, peer, own)
		a.executed.arrived = arrived
		l.answer.Store(&a)
		s.wake()
	})
}

// takeLegacyAnswer ends the wait for a request in the background.
func (s *session) takeLegacyAnswer() {
	if s.state != background {
		return
	}
	if a := s.legacy.answer.Swap(nil); a != nil {
		s.setState(running)
		s.auth.marks.clear(working)
		s.recordReply(&a.executed)
		s.legacyAnswered(a.reply, a.err)
	}
}

// legacyAnswered announces the reply to a request. If err is nil, its password was right.
func (s *session) legacyAnswered(reply []byte, err error) {
	if err != nil {
		s.legacyEnds(err)
		return
	}
	if s.auth.login != nil {
		s.srv.unauthenticated.authenticated(s) // it has not been evicted since legacyRequest
		s.auth.setAuthenticated()
		s.srv.counters.logins.Add(1)
		s.releaseUnauthenticated()
	}
	l := s.legacy
	l.reply = l.wire.Seal(l.reply[:0], reply)
	s.output.prepare(&s.srv.replies, len(l.reply))
	s.loop.requests.Add(1)
	s.loop.out = l.wire.Answered(s.loop.out, len(l.reply))
}

// legacyEnds closes a connection that has sent the wrong password, or what no client of CyberDB
// sends. It sends nothing, as CyberDB's server does.
func (s *session) legacyEnds(reason error) {
	s.close()
	// a wrong key turns everything into garbage
	wrong := errors.Is(reason, ErrPassword) || s.srv.cfg.Encrypt && s.auth.login != nil
	switch {
	case wrong && s.auth.login != nil:
		s.refused(&secure.Refusal{Code: secure.RefusedPassword, Text: reason.Error()})
		return
	case wrong:
		s.srv.counters.failedLogins.Add(1)
		s.srv.logins.failed(originOf(s.peer))
	default:
		s.srv.counters.badFrames.Add(1)
	}
	s.srv.acceptLog.warn("connection closed", slog.String("peer", peerName(s.peer)), reasonOf(reason))
}

// waitsForLogin makes the first request of a connection wait among the logins of its address, which
// wrong passwords delay.
func (s *session) waitsForLogin() bool {
	if s.auth.login == nil || s.legacy.queued || !s.auth.login.from.IsValid() {
		return false
	}
	s.legacy.queued = true
	s.startLogin()
	return true
}

// limitUnauthenticated counts the input of a session that has not authenticated, and closes the
// session if there is too much of all such sessions.
func (s *session) limitUnauthenticated(buffered int) {
	if s.auth.login == nil {
		return
	}
	l := s.legacy
	if l.wire.Step() == legacy.AwaitBody && buffered-l.progress >= legacyProgress {
		l.progress = buffered
		s.auth.heard(time.Now().UnixNano())
	}
	all := s.srv.legacy.unauthenticated.Add(int64(buffered) - l.unauthenticated)
	l.unauthenticated = int64(buffered)
	if all > s.srv.legacy.limit {
		s.input.drop()
		s.releaseUnauthenticated()
		s.srv.counters.overrun.Add(1)
		const why = "connections that have not authenticated have sent %d bytes, and the limit is %d"
		s.refused(fmt.Errorf(why, all, s.srv.legacy.limit))
	}
}

// releaseUnauthenticated takes the session's bytes out of the count of limitUnauthenticated.
func (s *session) releaseUnauthenticated() {
	if s.legacy != nil {
		s.srv.legacy.unauthenticated.Add(-s.legacy.unauthenticated)
		s.legacy.unauthenticated = 0
	}
}

// inExchange says whether the session is in an exchange whose end a stop of the server must wait
// for.
func (s *session) inExchange() bool {
	l := s.legacy
	if l == nil || s.auth.login != nil || l.wire.Step() == legacy.AwaitCount {
		return false
	}
	now := s.srv.clock.now()
	if l.drained.IsZero() {
		l.drained = now
	}
	return now.Sub(l.drained) < lingerTime
}
