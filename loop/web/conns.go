package web

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// MaxConns is the most connections at once.
const MaxConns = 64

// listener bounds the connections. One connection more closes the one that has waited longest for
// its client, or for its login; if all are being answered, it is closed itself. So clients that
// send slowly, or nothing, keep no other client out.
type listener struct {
	net.Listener

	mu    sync.Mutex
	conns map[*conn]struct{} // guarded by mu
}

// conn is a connection of a listener.
type conn struct {
	net.Conn
	of *listener

	// guarded by of.mu
	busy  bool      // its request is being answered
	since time.Time // when it began to wait
}

func newListener(ln net.Listener) *listener {
	return &listener{Listener: ln, conns: make(map[*conn]struct{})}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: accepted, of: l, since: time.Now()}
		victim := l.enter(c)
		if victim != nil {
			_ = victim.Close()
		}
		if victim != c {
			return c, nil
		}
	}
}

// enter adds a connection and returns the one to close, nil if there is room.
func (l *listener) enter(c *conn) (victim *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= MaxConns {
		victim = l.longestWaitingLocked()
		if victim == nil {
			return c
		}
		delete(l.conns, victim)
	}
	l.conns[c] = struct{}{}
	return victim
}

func (l *listener) longestWaitingLocked() (longest *conn) {
	for c := range l.conns {
		if !c.busy && (longest == nil || c.since.Before(longest.since)) {
			longest = c
		}
	}
	return longest
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// setBusy notes that a request of the connection is being answered, or was.
func (c *conn) setBusy(busy bool) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.busy, c.since = busy, time.Now()
}

type connKey struct{}

// withConn is http.Server.ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a request.
func connOf(r *http.Request) *conn { return r.Context().Value(connKey{}).(*conn) }
