package client

import (
	"context"

	"cyberdb-fast/codec"
)

const (
	// maxPendingBytes: callers wait while more is pending.
	maxPendingBytes = 4 << 20
	// maxOutstandingBytes: callers wait while more is outstanding. The server closes a connection
	// that sends 80 MiB ahead of what it executes.
	maxOutstandingBytes = 32 << 20
)

// fullLocked says whether n more requests have to wait.
func (c *conn) fullLocked(n int) bool {
	return len(c.pending) > maxPendingBytes || c.outstandingBytes > maxOutstandingBytes ||
		c.outstandingLocked()+n > maxOutstanding
}

// waitForSpaceLocked unlocks mu, waits until there may be space, and locks mu again.
func (c *conn) waitForSpaceLocked(ctx context.Context, client *Client) error {
	if c.space == nil {
		c.space = make(chan struct{})
	}
	space, waits := c.space, 0
	if c.outstandingBytes > maxOutstandingBytes && !c.checksWaits {
		waits = c.waitBytes
		c.checksWaits = waits > 0
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	if waits > 0 {
		c.checkWaits(client, waits)
	}
	select {
	case <-space:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkWaits sends a ping behind requests that may wait on the server, of so many bytes. When the
// reply comes, the server has executed them or put them in line: they are no longer ahead of what
// it executes, however long they wait.
func (c *conn) checkWaits(client *Client, bytes int) {
	err := c.post(&call{client: client, op: codec.OpPing, frame: pingFrame, late: func(c *conn, _ *call) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.checksWaits = false
		c.waitBytes -= bytes
		c.outstandingBytes -= bytes
		c.signalSpaceLocked()
	}})
	if err != nil { // the caller tries again when there may be space
		c.mu.Lock()
		defer c.mu.Unlock()
		c.checksWaits = false
	}
}

// signalSpaceLocked wakes the callers that wait for space.
func (c *conn) signalSpaceLocked() {
	if c.space != nil {
		close(c.space)
		c.space = nil
	}
}
