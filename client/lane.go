package client

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// lane keeps one connection to the server: it opens links one after the other, with growing pauses
// while that fails.
type lane struct {
	client *Client
	link   atomic.Pointer[link] // nil while there is none

	err error // of the last attempt, guarded by client.mu; nil before the first one and while there is a link
}

const (
	firstBackoff = 10 * time.Millisecond
	// steadyAfter is how long a link must have lived for the next attempt to come at once.
	steadyAfter = time.Second
)

// run works until the client is closed.
func (la *lane) run() {
	backoff := firstBackoff
	for la.client.ctx.Err() == nil {
		opened, err := dial(la.client.ctx, &la.client.options)
		if err != nil {
			la.failed(err)
			if hopeless(err) {
				backoff = la.client.options.MaxBackoff
			}
		} else {
			var l *link
			l = newLink(opened, func() { la.link.CompareAndSwap(l, nil) })
			began := time.Now()
			la.serve(l)
			if time.Since(began) > steadyAfter {
				backoff = firstBackoff
			}
		}
		la.pause(backoff)
		backoff = min(2*backoff, la.client.options.MaxBackoff)
	}
}

// serve runs l until it is down.
func (la *lane) serve(l *link) {
	c := la.client
	limits := l.limits
	c.limits.Store(&limits)
	stop := context.AfterFunc(c.ctx, func() { l.fail(ErrClosed) })
	defer stop()
	c.running.Go(func() { l.keep(c.options.SilenceTimeout) })
	c.mu.Lock()
	la.err = nil
	la.link.Store(l)
	c.tellLocked()
	c.mu.Unlock()
	l.serve()
}

func (la *lane) failed(err error) {
	c := la.client
	c.mu.Lock()
	defer c.mu.Unlock()
	la.err = err
	c.tellLocked()
}

// pause waits for half of d to d.
func (la *lane) pause(d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-la.client.ctx.Done():
	}
}
