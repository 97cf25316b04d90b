package loop

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/netip"
)

// A protocol that carries the password itself has it checked here. Logins over HTTP wait among
// those of the native protocol, so wrong passwords delay them and are counted in the same way.

var (
	// ErrPassword is returned for a login with another password, or none.
	ErrPassword = errors.New("wrong password")
	// ErrTooManyLogins is returned for a login from an address that wrong passwords delay, if too
	// many others of it wait.
	ErrTooManyLogins = errors.New(
		"too many logins of this address are waiting, after wrong passwords from it: try again later",
	)
)

// passwordLogin is a login by the password itself.
type passwordLogin struct {
	srv   *Server
	ctx   context.Context
	from  netip.Addr
	given string
	right bool          // written before over is closed
	over  chan struct{} // closed once it had its turn
}

// abandoned implements queuedLogin.
func (l *passwordLogin) abandoned() bool { return l.ctx.Err() != nil }

// takeTurn implements queuedLogin.
func (l *passwordLogin) takeTurn() {
	if l.right = l.srv.isPassword([]byte(l.given)); !l.right {
		l.srv.logins.failed(l.from) // before the next login of this address has its turn
	}
	close(l.over)
}

// isPassword reports whether a text is the password of clients. The time that it takes tells
// nothing about the password.
func (srv *Server) isPassword(text []byte) bool {
	given, want := sha256.Sum256(text), sha256.Sum256([]byte(srv.access.Load().password))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// Authenticate checks the password of a client of another protocol. It waits while wrong passwords
// delay logins from the peer's address. Those from this machine, which may come from a proxy for
// other machines, share a delay of their own.
//
// Errors: ErrPassword, ErrTooManyLogins, and ctx's if ctx ends first.
func (srv *Server) Authenticate(ctx context.Context, peer net.Addr, password string) error {
	l := &passwordLogin{srv: srv, ctx: ctx, from: passwordOrigin(peer), given: password, over: make(chan struct{})}
	if !srv.logins.add(l, l.from) {
		return srv.loginRefused(peer, ErrTooManyLogins)
	}
	select {
	case <-l.over:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !l.right {
		srv.counters.failedLogins.Add(1)
		return srv.loginRefused(peer, ErrPassword)
	}
	return nil
}

// passwordOrigin returns the origin that a login by the password itself is counted for. For this
// machine it is not originOf's, so that native clients are not delayed with a proxy's.
func passwordOrigin(peer net.Addr) netip.Addr {
	if from := originOf(peer); from.IsValid() {
		return from
	}
	return netip.IPv6Loopback()
}

// loginRefused counts and logs a login that is refused, and returns the reason.
func (srv *Server) loginRefused(peer net.Addr, reason error) error {
	srv.counters.refused.Add(1)
	srv.acceptLog.warn("login refused", slog.String("peer", peerName(peer)), reasonOf(reason))
	return reason
}
