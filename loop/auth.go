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
	from netip.Addr // whose login it counts as

	// owned by the event loop; by a worker while the session is proving
	handshake *secure.Server

	// owned by the event loop
	since  time.Time // it waits for a worker
	native bool      // it is the native protocol's for sure

	// guarded by the unprovenSet's mu
	place place
}

func newLogin(srv *Server, peer net.Addr) *login {
	return &login{from: originOf(peer), handshake: secure.NewServer(&srv.opening, secure.NewEphemeral())}
}

// originOf returns whose login a connection's counts as: an IPv4 address, an IPv6 network of 64
// bits, which is one place's, or the zero Addr for this machine.
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
			s.prove()
		case errors.Is(err, secure.ErrNotNative):
			if !s.meetForeign(pending[used:]) {
				s.save(pending, used, in)
				return nil
			}
		case err != nil:
			s.refused(err)
		case s.auth.login.handshake.Done():
			if !s.srv.unproven.prove(s) {
				s.loop.out = s.loop.out[:at]
				s.losePlace()
				continue
			}
			rest = pending[used:]
			if !s.input.empty() {
				rest = bytes.Clone(rest)
				s.input.drop()
			}
			s.welcome()
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
		s.refuse(&secure.Refusal{Code: secure.RefusedMessage, Text: "more bytes before the proof than a handshake has"})
		s.input.drop()
	}
}

// prove has the arithmetic done; the session waits for it.
func (s *session) prove() {
	s.to(authenticating)
	s.auth.login.since = time.Now()
	s.auth.marks.set(working)
	s.srv.unproven.work(s)
	if !s.srv.logins.add(s) {
		s.to(running)
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
		s.to(running)
		s.auth.active.Add(int64(time.Since(s.auth.login.since)))
		s.auth.marks.clear(working)
		s.srv.unproven.worked(s)
	}
}

// welcome ends a login that has succeeded. Its last message goes out before anything is encrypted.
func (s *session) welcome() {
	seal, opener := s.auth.login.handshake.Records()
	s.flush()
	if seal != nil {
		s.records = &records{seal: seal, opener: opener}
	}
	s.auth.heard(time.Now().UnixNano()) // the sweeper's clock may be behind: the idle time would seem longer
	s.auth.proved()
	s.srv.clock.start() // its idle time begins
}

// refuse sends a refusal, for which CyberDB's wire has no message.
func (s *session) refuse(refusal *secure.Refusal) {
	if s.legacy == nil {
		s.loop.out = secure.AppendRefusal(s.loop.out, refusal)
	}
	s.refused(refusal)
}

// refused ends a login that has failed; its refusal, if it has one, is in the loop's out.
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
	// handshakeTime is how long a client may take until it has proved the password.
	handshakeTime = 5 * time.Second
)

// tooSlow is what a connection is told that has not proved the password in time.
var tooSlow = &secure.Refusal{Code: secure.RefusedTimeout, Text: "no password proved in time"}

// closeOverdue closes the session if the sweeper found it overdue and that is still so.
func (s *session) closeOverdue() {
	if !s.auth.marks.take(timedOut) || s.ends() || s.timeLeft(s.srv.clock.nanos()) > 0 {
		return
	}
	s.close()
	if s.auth.login == nil {
		s.srv.counters.idleClosed.Add(1)
		return
	}
	if s.legacy == nil {
		s.loop.out = secure.AppendRefusal(s.loop.out, tooSlow)
	}
	s.refused(tooSlow)
}
