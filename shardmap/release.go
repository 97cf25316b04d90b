package shardmap

import "sync"

// A Call knows what it holds, so that whoever recovers from a panic in it can give that back. While
// a call is in a critical section, either its locks are in Call.locked and Call.held, or it owns
// the gate of a table and leaves that by Table.leave.

// lock takes the mutex of a shard or a list.
func (c *Call) lock(mu *sync.Mutex) {
	mu.Lock()
	c.locked = mu
}

// unlock gives it back.
func (c *Call) unlock() {
	mu := c.locked
	c.locked = nil
	mu.Unlock()
}

// complete ends a change that has drawn its numbers: it is made. The caller holds the locks of the
// change.
func (c *Call) complete() { c.changing = nil }

// Release ends a call that has panicked; whoever recovers from the panic calls it before anything
// else is done with the Call. It gives back the locks that the call held, and ends the view by
// which it was reading a large value.
//
// If the call was in the middle of a change, nobody knows what its table holds. The table is
// returned and is spoiled from then on: it can be dropped, and every other call on it answers
// ErrPoisoned, views too. Otherwise nil is returned, and the change, if the call has drawn numbers,
// is made.
func (c *Call) Release() *Table {
	t := c.changing
	if t != nil {
		t.poison()
		c.changing = nil
	}
	if c.locked != nil {
		c.unlock()
	}
	c.unlockShards()
	if c.pin != nil {
		c.pin.close()
		c.pin = nil
	}
	return t
}
