package engine

import (
	"sync"

	"cyberdb-fast/loop/pubsub"
)

// Client is what the engine keeps for one connection. Its methods may be called from any goroutine.
type Client struct {
	engine *Engine // constant

	mu     sync.Mutex
	closed bool               // guarded by mu
	subs   *pubsub.Subscriber // nil: it has not subscribed; guarded by mu
}

// NewClient returns the Client of a new connection.
func (e *Engine) NewClient() *Client { return &Client{engine: e} }

// Close ends what is kept for the connection. Nothing is kept for it from then on.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.subs != nil {
		c.subs.Close()
	}
}

// subscriber returns the subscriptions of the connection.
func (c *Client) subscriber() *pubsub.Subscriber {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs == nil {
		c.subs = c.engine.hub.NewSubscriber()
		if c.closed {
			c.subs.Close()
		}
	}
	return c.subs
}
