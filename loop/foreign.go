package loop

import (
	"fmt"

	"cyberdb-fast/codec/foreign"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/secure"
)

// A client of another protocol (a browser, redis-cli, a TLS client) that connects to this port gets
// one line in its own protocol that says so. Then the server closes its side and waits lingerTime
// for the client to close its own, so that the answer is not lost. Meanwhile a newcomer may evict
// it.

// clientProtocol returns the protocol of a connection that is not native and begins with first.
// sure is false while first is too short to tell.
func (s *session) clientProtocol(first []byte) (p foreign.Protocol, sure bool) {
	if s.srv.cfg.Legacy && legacy.IsClient(s.srv.access.Load().cipher, first) {
		return foreign.Unknown, true
	}
	return foreign.Client(first)
}

// answerForeign ends a login that does not begin as a native one. It returns false if more bytes
// are needed to tell the client's protocol.
func (s *session) answerForeign(first []byte) bool {
	p, sure := s.clientProtocol(first)
	switch {
	case !sure:
		return false
	case p == foreign.Unknown:
		s.refused(secure.ErrNotNative)
	default:
		s.loop.out = p.AppendAnswer(s.loop.out, first)
		s.setState(parting)
		s.refused(fmt.Errorf("the client speaks %v, not cyberdb-fast's protocol", p))
	}
	return true
}
