package shardmap

import "sync"

// A Call records which locks it has taken, so that they can be given back after a panic. During a
// critical section they are in Call.locked and Call.lockedShards; or the call owns a table lock,
// which Table.unlock gives back.

// lock locks the mutex of a shard or a list.
func (c *Call) lock(mu *sync.Mutex) {
	mu.Lock()
	c.locked = mu
}

// unlock unlocks the mutex that lock has locked.
func (c *Call) unlock() {
	mu := c.locked
	c.locked = nil
	mu.Unlock()
}

// lockToo locks the mutex of another list.
func (c *Call) lockToo(mu *sync.Mutex) {
	mu.Lock()
	c.lockedToo = mu
}

// unlockBoth unlocks what lock and lockToo have locked.
func (c *Call) unlockBoth() {
	if mu := c.lockedToo; mu != nil {
		c.lockedToo = nil
		mu.Unlock()
	}
	c.unlock()
}

// complete marks the change as made, and wakes those that wait for one; Store.assign began it. The
// caller holds the locks of the change.
func (c *Call) complete() {
	t := c.changing
	c.changing = nil
	if t != nil {
		t.watchers.changed()
	}
}

// completeBoth is complete for a change of one table or two.
func (c *Call) completeBoth() {
	too := c.changingToo
	c.changingToo = nil
	c.complete()
	if too != nil {
		too.watchers.changed()
	}
}

// Release ends a call that has panicked. Call it right after recover, before any other use of the
// Call. It releases the locks of the call and the pin under which the call was reading a large
// value.
//
// If the call was in the middle of a change, the state of its table is unknown. Release then
// poisons the table and returns it: the table can be dropped, and every other call on it, and on
// views of it, returns ErrPoisoned. Otherwise Release returns nil: the call has changed nothing, or
// its change is complete.
func (c *Call) Release() *Table {
	t := c.changing
	if t != nil {
		t.poison()
		c.changing = nil
		if c.changingToo != nil {
			c.changingToo.poison()
		}
	}
	c.changingToo = nil
	c.crowded = false
	if mu := c.lockedToo; mu != nil {
		c.lockedToo = nil
		mu.Unlock()
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
