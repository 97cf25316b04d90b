package engine

import "sync"

// Client is what the engine keeps for one connection. Its methods may be called from any goroutine.
type Client struct {
	engine *Engine // constant

	mu     sync.Mutex
	closed bool // guarded by mu
}

// NewClient returns the Client of a new connection.
func (e *Engine) NewClient() *Client { return &Client{engine: e} }

// Close ends what is kept for the connection. Nothing is kept for it from then on.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}
