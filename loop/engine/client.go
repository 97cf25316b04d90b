package engine

import (
	"sync"
	"sync/atomic"

	"cyberdb-fast/loop/pubsub"
)

// Client is what the engine keeps for one connection. Its methods may be called from any goroutine.
type Client struct {
	engine  *Engine     // constant
	granted atomic.Bool // there are grants; written under mu

	mu        sync.Mutex
	closed    bool               // guarded by mu
	subs      *pubsub.Subscriber // nil: it has not subscribed; guarded by mu
	grants    int                // whose replies are not sent: the next two; guarded by mu
	unwritten map[uint32]*grant  // by the ids of the requests; guarded by mu
	written   []*grant           // in the order of their ends; guarded by mu
	given     uint64             // bytes given to the connection since one of these was; guarded by mu
}

// NewClient returns the Client of a new connection.
func (e *Engine) NewClient() *Client { return &Client{engine: e} }

// Close ends what is kept for the connection, which has not sent the last buffered bytes. Nothing
// is kept for it from then on. If there are grants whose replies were not sent, it returns a
// function that gives them back, and may wait; nil: there are none.
func (c *Client) Close(buffered int) (giveBack func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.subs != nil {
		c.subs.Close()
	}
	c.forgetSent(buffered)
	if all := c.takeUnsent(); len(all) > 0 {
		return func() { c.engine.giveBack(all) }
	}
	return nil
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
