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
// begin as a native one speaks it. Each of its requests is made one of the native protocol and goes
// through the same command table; nothing is pipelined, so whatever takes long runs beside the
// loop.
//
// The password is inside each request, so the first one may be a whole frame before anything is
// proved.

const (
	// legacyProgress is how many bytes of a request count as progress, before the password is
	// proved.
	legacyProgress = legacy.BlockBytes
	// legacyControlTime is how long an announcement, or the answer to one, may take to come whole:
	// CyberDB's server reads it at once.
	legacyControlTime = time.Second
	// legacySilence is how long a client on another machine may say nothing at all; one on this
	// machine as long as it likes, since CyberDB's clients open connections before they need them.
	legacySilence = 10 * time.Minute
	// legacyInlineBytes is the size of a request above which it is read beside the loop.
	legacyInlineBytes = 16 << 10
)

// legacyServer is what the connections of CyberDB's wire share.
type legacyServer struct {
	cipher   *legacy.Cipher // nil: plain
	unproven atomic.Int64   // bytes that connections hold that have not proved the password
	limit    int64          // of these; constant
	proofs   chan struct{}  // a token for the one large request that is read before the password is proved
}

func (l *legacyServer) init(cfg *Config, limit int64) (err error) {
	if !cfg.Legacy {
		return nil
	}
	if err = legacy.CheckPassword(cfg.Password, cfg.Encrypt); err != nil {
		return fmt.Errorf("the password: %w", err)
	}
	l.proofs, l.limit = make(chan struct{}, 1), limit
	if cfg.Encrypt {
		l.cipher, err = legacy.NewCipher(cfg.Password)
	}
	return err
}

// legacySession is what a session of CyberDB's wire has besides.
type legacySession struct {
	// owned by the event loop
	wire     *legacy.Wire
	reply    []byte // as it is sent, once the client is ready for it
	unproven int64  // bytes of it in the server's count
	progress int    // bytes of the message at hand when it last made progress
	waited   bool   // the first request has had its turn among the logins
	drained  time.Time

	// written beside the loop, taken by the event loop
	answer atomic.Pointer[legacyAnswer]
}

// legacyAnswer is what has become of a request beside the loop.
type legacyAnswer struct {
	reply []byte
	err   error
}

// errLegacyPassword is returned for a request with another password, or none.
var errLegacyPassword = errors.New("wrong password")

// firstPatience is how long a new connection may say nothing.
func (srv *Server) firstPatience(peer net.Addr) time.Duration {
	switch {
	case !srv.cfg.Legacy:
		return handshakeTime
	case srv.cfg.IdleTimeout > 0:
		return max(srv.cfg.IdleTimeout, handshakeTime)
	case originOf(peer).IsValid():
		return legacySilence
	}
	return math.MaxInt64
}

// speaksLegacy says whether the connection speaks CyberDB's wire: whether what has come of it, of
// which in is the last, is not the beginning of a native one, nor of another protocol. That is
// looked at until it is sure.
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

// beginLegacy makes the session one of CyberDB's wire.
func (s *session) beginLegacy() {
	s.legacy = &legacySession{wire: legacy.NewWire(s.srv.legacy.cipher)}
	s.auth.expect(legacyControlTime)
	s.auth.heard(time.Now().UnixNano())
	if s.auth.login.from.IsValid() && !s.srv.cfg.LegacyInsecure {
		s.refused(
			errors.New(
				"CyberDB's own wire, which protects nothing, is for this machine alone without --legacy-insecure",
			),
		)
	}
}

// serveLegacy takes what has arrived of the exchange at hand.
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
		s.limitUnproven(len(pending))
	case l.wire.Step() == legacy.AwaitBody && s.waitsForTurn():
		s.save(pending, 0, in)
		s.limitUnproven(len(pending))
	default:
		s.legacyMessage(message)
		s.input.drop()
		l.progress = 0
		s.auth.heard(time.Now().UnixNano())
	}
}

// legacyMessage takes a whole message.
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

// legacyRequest executes a request, here or beside the loop.
func (s *session) legacyRequest(message []byte) {
	if s.auth.login != nil && !s.srv.unproven.work(s) {
		s.losePlace()
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
	l, own, peer := s.legacy, bytes.Clone(message), s.peer
	extra := s.srv.extraLong
	if len(own) > legacyInlineBytes {
		extra = s.srv.extraShort
	}
	unproven := s.auth.login != nil
	s.to(background)
	s.auth.marks.set(working)
	s.goBeside(func() {
		if unproven {
			s.srv.legacy.proofs <- struct{}{}
			defer func() { <-s.srv.legacy.proofs }()
		}
		w := s.srv.beginWork(extra)
		defer w.end()
		reply, err := s.srv.answerLegacy(w, peer, own)
		l.answer.Store(&legacyAnswer{reply, err})
		s.wake()
	})
}

// takeLegacyAnswer ends the wait for a request beside the loop.
func (s *session) takeLegacyAnswer() {
	if s.state != background {
		return
	}
	if a := s.legacy.answer.Swap(nil); a != nil {
		s.to(running)
		s.auth.marks.clear(working)
		s.legacyAnswered(a.reply, a.err)
	}
}

// legacyAnswered announces the reply to a request, whose password was right if err is nil.
func (s *session) legacyAnswered(reply []byte, err error) {
	if err != nil {
		s.legacyEnds(err)
		return
	}
	if s.auth.login != nil {
		s.srv.unproven.prove(s) // it has kept its place since legacyRequest
		s.auth.proved()
		s.releaseUnproven()
	}
	l := s.legacy
	l.reply = l.wire.Seal(l.reply[:0], reply)
	s.output.prepare(&s.srv.replies, len(l.reply))
	s.loop.requests.Add(1)
	s.loop.out = l.wire.Answered(s.loop.out, len(l.reply))
}

// legacyEnds closes a connection that has sent what no client of CyberDB's sends, or the wrong
// password. CyberDB's server says nothing then either.
func (s *session) legacyEnds(reason error) {
	s.close()
	// garbage is what a wrong key makes
	wrong := errors.Is(reason, errLegacyPassword) || s.srv.legacy.cipher != nil && s.auth.login != nil
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

// waitsForTurn lets the first request of a connection wait for its turn among the logins of its
// address, which wrong passwords delay.
func (s *session) waitsForTurn() bool {
	if s.auth.login == nil || s.legacy.waited || !s.auth.login.from.IsValid() {
		return false
	}
	s.legacy.waited = true
	s.prove()
	return true
}

// limitUnproven counts the bytes that the session holds without having proved the password, and
// closes it if all together are too many.
func (s *session) limitUnproven(held int) {
	if s.auth.login == nil {
		return
	}
	l := s.legacy
	if l.wire.Step() == legacy.AwaitBody && held-l.progress >= legacyProgress {
		l.progress = held
		s.auth.heard(time.Now().UnixNano())
	}
	all := s.srv.legacy.unproven.Add(int64(held) - l.unproven)
	l.unproven = int64(held)
	if all > s.srv.legacy.limit {
		s.input.drop()
		s.releaseUnproven()
		s.srv.counters.overrun.Add(1)
		s.refused(
			fmt.Errorf("connections without a proven password hold %d bytes, and %d may be", all, s.srv.legacy.limit),
		)
	}
}

// releaseUnproven takes the session's bytes out of the count.
func (s *session) releaseUnproven() {
	if s.legacy != nil {
		s.srv.legacy.unproven.Add(-s.legacy.unproven)
		s.legacy.unproven = 0
	}
}

// inExchange says whether the session, while the server stops, is in an exchange whose end is to be
// waited for.
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
