package loop

import (
	"fmt"

	"cyberdb-fast/codec/foreign"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/secure"
)

// A client of another protocol (a browser, redis-cli, a TLS client) that has met this port is told
// so in its own language, in one line, and closed in order: the server ends its side and waits
// lingerTime for the client to end its own, so that the answer is not lost. A newcomer may have its
// place at once.

// clientProtocol says what a connection speaks that begins with first and is not native; sure is
// false while that is too short to tell.
func (s *session) clientProtocol(first []byte) (p foreign.Protocol, sure bool) {
	if s.srv.cfg.Legacy && legacy.IsClient(s.srv.legacy.cipher, first) {
		return foreign.Unknown, true
	}
	return foreign.Client(first)
}

// meetForeign ends a login that does not begin as a native one. It returns false if more bytes are
// needed to tell what the client speaks.
func (s *session) meetForeign(first []byte) bool {
	p, sure := s.clientProtocol(first)
	switch {
	case !sure:
		return false
	case p == foreign.Unknown:
		s.refused(secure.ErrNotNative)
	default:
		s.loop.out = p.AppendAnswer(s.loop.out, first)
		s.to(parting)
		s.refused(fmt.Errorf("the client speaks %v, not cyberdb-fast's protocol", p))
	}
	return true
}
