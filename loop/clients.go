package loop

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/panjf2000/gnet/v2"
)

const (
	// maxClients is the most clients that are shown.
	maxClients = 1000
	// clientsTime is how long an event loop may take to describe its clients.
	clientsTime = 250 * time.Millisecond
	// unknownState is the state of a client whose event loop has not answered in that time.
	unknownState = "unknown"
)

// Clients is the connected clients, the oldest connection first.
type Clients struct {
	Clients []Client `json:"clients"`
	More    bool     `json:"more"` // there are other clients
}

// Client is a connected client.
type Client struct {
	Peer string `json:"peer"`
	// since it has connected
	AgeSeconds float64 `json:"age_seconds"`
	// since it has sent something, or has read a part of a long reply
	IdleSeconds   float64 `json:"idle_seconds"`
	State         string  `json:"state"` // of the session: loop/DESIGN.md
	Encrypted     bool    `json:"encrypted"`
	Legacy        bool    `json:"legacy"` // it speaks CyberDB's own wire
	UnsentBytes   int     `json:"unsent_bytes"`
	BufferedBytes int     `json:"buffered_bytes"` // of requests that are not complete, or wait
	Waiting       int     `json:"waiting"`        // requests that wait while its connection goes on
}

// Clients describes the connected clients. Each event loop describes its own; those of a loop that
// takes too long have no state.
func (srv *Server) Clients() Clients {
	answer := Clients{Clients: []Client{}}
	byLoop := make(map[*eventLoop][]*session)
	n := 0
	srv.sessions.each(func(s *session) {
		if answer.More = n >= maxClients; !answer.More {
			byLoop[s.loop] = append(byLoop[s.loop], s)
			n++
		}
	})
	described := make(map[*eventLoop]<-chan []Client)
	srv.loopsMu.Lock()
	for el, l := range srv.loops {
		described[l] = describe(el, byLoop[l])
	}
	srv.loopsMu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), clientsTime)
	defer cancel()
	for l, clients := range described {
		answer.Clients = append(answer.Clients, await(ctx, clients, byLoop[l])...)
	}
	slices.SortFunc(answer.Clients, func(a, b Client) int {
		return cmp.Or(cmp.Compare(b.AgeSeconds, a.AgeSeconds), cmp.Compare(a.Peer, b.Peer))
	})
	return answer
}

// describe makes an event loop describe its sessions.
func describe(el gnet.EventLoop, sessions []*session) <-chan []Client {
	described := make(chan []Client, 1)
	_ = el.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		var clients []Client
		for _, s := range sessions {
			if s.state != closed {
				clients = append(clients, s.describe())
			}
		}
		described <- clients
		return nil
	}))
	return described
}

// await returns what an event loop says of its sessions, or what is known without it once ctx has
// ended.
func await(ctx context.Context, described <-chan []Client, sessions []*session) (clients []Client) {
	select {
	case clients = <-described:
		return clients
	case <-ctx.Done():
	}
	select {
	case clients = <-described:
	default:
		for _, s := range sessions {
			c := s.outline()
			c.State = unknownState
			clients = append(clients, c)
		}
	}
	return clients
}

// describe describes the session. It is called on the event loop.
func (s *session) describe() Client {
	c := s.outline()
	c.State, c.Legacy = s.state.String(), s.legacy != nil
	c.UnsentBytes = s.conn.OutboundBuffered() + s.deferred.pendingDurable()
	c.BufferedBytes, c.Waiting = len(s.input.rest()), len(s.deferred.waiters())
	return c
}

// outline is what any goroutine may know of the session.
func (s *session) outline() Client {
	now := s.srv.time.monotonic()
	silent := time.Duration(time.Now().UnixNano() - s.auth.active.Load())
	return Client{
		Peer:        peerName(s.peer),
		AgeSeconds:  max(now-s.auth.opened.time(), 0).Seconds(),
		IdleSeconds: max(silent, 0).Seconds(),
		Encrypted:   s.srv.cfg.Encrypt,
	}
}
