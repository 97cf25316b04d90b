package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"cyberdb-fast/loop"
)

// loginTime is how long a login may wait for its turn, after wrong passwords from its address.
const loginTime = 10 * time.Second

const health = "/healthz"

// admit reports whether a request may be answered. If not, it has told the client why.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) bool {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		say(w, http.StatusRequestEntityTooLarge, "a request has no body here")
		return false
	}
	db, peer := s.db.Load(), connOf(r).RemoteAddr()
	switch {
	case r.URL.Path == health && (db == nil || isLoopback(peer)):
		return true
	case db == nil:
		w.Header().Set("Retry-After", "1")
		say(w, http.StatusServiceUnavailable, "the tables are being loaded")
		return false
	case !db.Allowed(peer):
		say(w, http.StatusForbidden, "this address is not allowed: see --allow")
		return false
	}
	return logIn(w, r, db, peer)
}

// logIn reports whether a request has the password. If not, it has told the client what to do.
func logIn(w http.ResponseWriter, r *http.Request, db *loop.Server, peer net.Addr) bool {
	_, password, given := r.BasicAuth()
	if !given {
		askPassword(w, "log in with HTTP Basic: any user name, and the server's password")
		return false
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginTime)
	defer cancel()
	err := db.Authenticate(ctx, peer, password)
	switch {
	case err == nil:
		return true
	case errors.Is(err, loop.ErrPassword):
		askPassword(w, err.Error())
	default:
		w.Header().Set("Retry-After", "10")
		say(w, http.StatusTooManyRequests, loop.ErrTooManyLogins.Error())
	}
	return false
}

func askPassword(w http.ResponseWriter, line string) {
	w.Header().Set("WWW-Authenticate", `Basic realm="cyberdb-fast", charset="UTF-8"`)
	say(w, http.StatusUnauthorized, line)
}

func isLoopback(peer net.Addr) bool {
	tcp, ok := peer.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
