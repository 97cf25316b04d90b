package client

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// connSlot holds one of the client's connections. When the connection ends, the slot opens another
// one; the pauses between failed attempts grow.
type connSlot struct {
	client *Client
	conn   atomic.Pointer[conn] // nil while there is none

	// err is why the last attempt to connect failed. It is nil before the first attempt and while
	// there is a connection. Guarded by client.mu.
	err error
}

const (
	firstBackoff = 10 * time.Millisecond
	// steadyAfter is the age from which a lost connection resets the pause to firstBackoff.
	steadyAfter = time.Second
)

// run keeps the slot connected until the client is closed.
func (s *connSlot) run() {
	backoff := firstBackoff
	for s.client.ctx.Err() == nil {
		opened, err := dial(s.client.ctx, &s.client.options)
		if err != nil {
			s.setError(err)
			if isPermanent(err) {
				backoff = s.client.options.MaxBackoff
			}
		} else {
			var c *conn
			c = newConn(opened, func() { s.conn.CompareAndSwap(c, nil) })
			began := time.Now()
			s.serve(c)
			if time.Since(began) > steadyAfter {
				backoff = firstBackoff
			}
		}
		s.pause(backoff)
		backoff = min(2*backoff, s.client.options.MaxBackoff)
	}
}

// serve makes c available to callers and returns when it is down.
func (s *connSlot) serve(c *conn) {
	client := s.client
	limits := c.limits
	client.limits.Store(&limits)
	stop := context.AfterFunc(client.ctx, func() { c.fail(ErrClosed) })
	defer stop()
	client.running.Go(func() { c.runWriter(client.options.SilenceTimeout) })
	client.mu.Lock()
	s.err = nil
	s.conn.Store(c)
	client.notifyLocked()
	client.mu.Unlock()
	c.runReader()
}

func (s *connSlot) setError(err error) {
	client := s.client
	client.mu.Lock()
	defer client.mu.Unlock()
	s.err = err
	client.notifyLocked()
}

// pause waits for a random time between d/2 and d.
func (s *connSlot) pause(d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.client.ctx.Done():
	}
}
