package loop

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"cyberdb-fast/codec/secure"
)

// login is a session's handshake.
type login struct {
	// constant
	from netip.Addr // the origin that the login is counted for

	// owned by the event loop; by a worker while the session is authenticating
	handshake *secure.Server

	// owned by the event loop
	since  time.Time // it waits for a worker
	native bool      // it is certainly of the native protocol

	// guarded by the unauthenticatedSet's mu
	slot slot
}

func newLogin(srv *Server, peer net.Addr) *login {
	return &login{from: originOf(peer), handshake: secure.NewServer(&srv.access.Load().opening, secure.NewEphemeral())}
}

// originOf returns the origin that a connection is counted for: an IPv4 address, an IPv6 network of
// 64 bits, or the zero Addr for this machine.
func originOf(peer net.Addr) netip.Addr {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.IsLoopback() {
		return netip.Addr{}
	}
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	return addr
}

// logIn takes what arrived of the handshake. Once that is over, login is nil and the rest of the
// bytes is returned.
func (s *session) logIn(in []byte) (rest []byte) {
	pending := s.input.pending(in)
	used := 0
	for s.state == running {
		at := len(s.loop.out)
		n, out, err := s.auth.login.handshake.Next(pending[used:], s.loop.out)
		s.loop.out = out
		used += n
		switch {
		case errors.Is(err, secure.ErrShort):
			s.save(pending, used, in)
			s.limitLogin()
			return nil
		case errors.Is(err, secure.ErrCompute):
			s.startLogin()
		case errors.Is(err, secure.ErrNotNative):
			if !s.answerForeign(pending[used:]) {
				s.save(pending, used, in)
				return nil
			}
		case err != nil:
			s.refused(err)
		case s.auth.login.handshake.Done():
			if !s.srv.unauthenticated.authenticated(s) {
				s.loop.out = s.loop.out[:at]
				s.refuseEvicted()
				continue
			}
			rest = pending[used:]
			if !s.input.empty() {
				rest = bytes.Clone(rest)
				s.input.drop()
			}
			s.finishLogin()
			return rest
		}
	}
	s.save(pending, used, in)
	s.limitLogin()
	return nil
}

// limitLogin refuses a client that sends more than a handshake has.
func (s *session) limitLogin() {
	if len(s.input.rest()) > secure.MaxClientBytes && !s.ends() {
		s.refuse(&secure.Refusal{Code: secure.RefusedMessage, Text: "more bytes before the login than a handshake has"})
		s.input.drop()
	}
}

// startLogin queues the arithmetic of the login. The session waits for it.
func (s *session) startLogin() {
	s.setState(authenticating)
	s.auth.login.since = time.Now()
	s.auth.marks.set(working)
	s.srv.unauthenticated.work(s)
	if !s.srv.logins.add(s, s.auth.login.from) {
		s.setState(running)
		s.auth.marks.clear(working)
		s.refuse(&secure.Refusal{
			Code: secure.RefusedTooManyConnections,
			Text: "too many logins of this address are waiting, after wrong passwords from it: try again later",
		})
	}
}

// loginWorked ends the wait for the arithmetic if that is done. The time of the wait is not the
// client's.
func (s *session) loginWorked() {
	if s.deferred.ready.CompareAndSwap(true, false) {
		s.setState(running)
		s.auth.active.Add(int64(time.Since(s.auth.login.since)))
		s.auth.marks.clear(working)
		s.srv.unauthenticated.worked(s)
	}
}

// finishLogin ends a login that has succeeded. Its last message is sent before anything is
// encrypted.
func (s *session) finishLogin() {
	seal, opener := s.auth.login.handshake.Records()
	s.flush()
	if seal != nil {
		s.records = &records{seal: seal, opener: opener}
	}
	s.auth.heard(time.Now().UnixNano()) // the sweeper's clock may be behind: the idle time would seem longer
	s.auth.setAuthenticated()
	s.srv.counters.logins.Add(1)
	s.srv.clock.start() // its idle time begins
}

// refuse sends a refusal, for which CyberDB's wire has no message.
func (s *session) refuse(refusal *secure.Refusal) {
	if s.legacy == nil {
		s.loop.out = secure.AppendRefusal(s.loop.out, refusal)
	}
	s.refused(refusal)
}

// refused ends a login that has failed. Its refusal, if there is one, is in the loop's out.
func (s *session) refused(reason error) {
	s.close()
	s.srv.counters.refused.Add(1)
	s.srv.acceptLog.warn("connection refused", slog.String("peer", peerName(s.peer)), reasonOf(reason))
	var refusal *secure.Refusal
	if !errors.As(reason, &refusal) {
		return
	}
	switch refusal.Code {
	case secure.RefusedPassword:
		s.srv.counters.failedLogins.Add(1)
		s.srv.logins.failed(s.auth.login.from)
	case secure.RefusedMessage:
		s.srv.counters.badFrames.Add(1)
	}
}

const (
	// handshakeTime is how long a client may take to authenticate.
	handshakeTime = 5 * time.Second
)

// loginTimeout is the refusal of a client that has not authenticated in time.
var loginTimeout = &secure.Refusal{Code: secure.RefusedTimeout, Text: "the login took too long"}

// closeTimedOut closes the session if the sweeper found that it has timed out and that is still so.
func (s *session) closeTimedOut() {
	if !s.auth.marks.take(timedOut) || s.ends() || s.timeLeft(s.srv.clock.nanos()) > 0 {
		return
	}
	s.close()
	if s.auth.login == nil {
		s.srv.counters.idleClosed.Add(1)
		return
	}
	if s.legacy == nil {
		s.loop.out = secure.AppendRefusal(s.loop.out, loginTimeout)
	}
	s.refused(loginTimeout)
}
