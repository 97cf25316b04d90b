package client

import (
	"errors"
	"math/rand/v2"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
)

// errBusy means that a call was not posted because too much is outstanding.
var errBusy = errors.New("too many requests are outstanding")

// post sends q, whose frame is complete, and never blocks. Its reply goes to q.late; without that,
// it is dropped. The caller must not use q afterwards. Errors: errDown, errBusy; nothing was sent
// then, and late is not called. CANCEL is small, and what it ends would wait on: it is sent however
// much is pending.
func (c *conn) post(q *call) error {
	c.mu.Lock()
	switch {
	case c.err != nil:
		c.mu.Unlock()
		return errDown
	case c.outstandingLocked() == maxOutstanding || len(c.pending) > 2*maxPendingBytes && q.op != codec.OpCancel:
		c.mu.Unlock()
		return errBusy
	}
	q.head, q.detached = q, q.late != nil
	c.enqueueLocked(q)
	if q.late == nil {
		c.outstanding[q.id%maxOutstanding].call = nil
	}
	c.flushAndUnlock()
	return nil
}

// post completes q's frame and sends q on any connection that takes it; see conn.post. Errors: also
// those of seal.
func (c *Client) post(q *call) error {
	if err := q.seal(); err != nil {
		return err
	}
	err := errDown
	first := rand.IntN(len(c.slots))
	for i := range c.slots {
		cn := c.slots[(first+i)%len(c.slots)].conn.Load()
		if cn == nil {
			continue
		}
		if err = cn.post(q); err == nil {
			return nil
		}
	}
	return err
}

// giveUp ends the caller's wait for the pipeline's replies. If the pipeline is one call that may
// wait on the server (it has late), giveUp ends that wait too, and the reply goes to late. It
// returns false if the reader has all replies already and is about to complete the calls.
func (c *conn) giveUp(head *call) bool {
	if head.late == nil || head.next != nil {
		return c.abandon(head)
	}
	c.mu.Lock()
	at := int(head.id % maxOutstanding)
	due := at < len(c.outstanding) && c.outstanding[at].call == head
	if due { // otherwise the reader may be using the call
		head.detached, head.abandoned = true, true
	}
	c.mu.Unlock()
	if due {
		frame, _ := codec.BeginRequest(nil, &codec.Request{Op: codec.OpCancel})
		frame = msgp.AppendUint32(frame, head.id)
		codec.EndFrame(frame, 0)
		_ = c.post(&call{op: codec.OpCancel, frame: frame}) // if it fails, the connection's end ends the wait
	}
	return due
}
