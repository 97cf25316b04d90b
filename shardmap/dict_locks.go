package shardmap

import "math/bits"

// lockAll locks all shards, none of them retired, of a table that is not closed to the call, and
// leaves them in Call.held.
//
// Errors: ErrLong for an inline call on a dict of very many shards.
func (d *Dict) lockAll(c *Call) error {
	for {
		dir := d.dir.Load()
		if len(dir.shards) > InlineElements && !c.MayBlock {
			return ErrLong
		}
		ok := true
		for i := 0; i < len(dir.shards) && ok; i += dir.span(dir.shards[i]) {
			ok = c.lockShard(dir.shards[i])
		}
		if ok && !d.table.unavailable(c) {
			c.Cost += movedCost * len(c.lockedShards)
			return nil
		}
		c.unlockShards()
		if err := d.waitOrBusy(c); err != nil {
			return err
		}
	}
}

// lockBatch locks the shards of all items of the Call's batch, none of them retired, of a table
// that is not closed to the call, and leaves them in Call.held.
func (d *Dict) lockBatch(c *Call) error {
	for {
		if c.lockTouched(d.dir.Load()) && !d.table.unavailable(c) {
			return nil
		}
		c.unlockShards()
		if err := d.waitOrBusy(c); err != nil {
			return err
		}
	}
}

// lockTouched locks the shards that the batch touches, in directory order; false: one of them is
// retired.
func (c *Call) lockTouched(dir *directory) bool {
	c.touched = append(c.touched[:0], make([]uint64, (len(dir.shards)+63)/64)...)
	for i := range c.batch {
		slot := dir.slot(c.batch[i].hash)
		c.touched[slot/64] |= 1 << (slot % 64)
	}
	var last *shard
	for i, word := range c.touched {
		for ; word != 0; word &= word - 1 {
			s := dir.shards[i*64+bits.TrailingZeros64(word)]
			if s == last {
				continue
			}
			last = s
			if !c.lockShard(s) {
				return false
			}
		}
	}
	return true
}

// lockShard locks s and adds it to held; false: it is retired.
func (c *Call) lockShard(s *shard) bool {
	s.mu.Lock()
	c.lockedShards = append(c.lockedShards, s)
	return !s.retired
}

// unlockShards unlocks what is held.
func (c *Call) unlockShards() {
	for i, s := range c.lockedShards {
		s.mu.Unlock()
		c.lockedShards[i] = nil
	}
	c.lockedShards = c.lockedShards[:0]
}

// lockWhole locks all shards for a change to the table itself, and leaves them in Call.held.
// Errors: ErrNoTable; ErrBusy if a long write owns the table.
func (d *Dict) lockWhole(c *Call) error {
	if !d.lockShards(c) {
		return ErrNoTable
	}
	if d.table.owned() {
		c.unlockShards()
		return ErrBusy
	}
	return nil
}

// lockShards locks all shards, none of them retired, and leaves them in Call.held; false, and nothing
// held: the table was dropped.
func (d *Dict) lockShards(c *Call) bool {
	for {
		dir := d.dir.Load()
		ok := true
		for i := 0; i < len(dir.shards) && ok; i += dir.span(dir.shards[i]) {
			ok = c.lockShard(dir.shards[i])
		}
		switch {
		case d.table.state.Load() == dropped:
			c.unlockShards()
			return false
		case ok:
			return true
		}
		c.unlockShards()
	}
}

// own makes the caller the owner of the dict: no call but those of views acts on it until the gate
// is left.
func (d *Dict) own(c *Call) (*lockOwner, error) {
	h := d.table.lock.acquire()
	if h == nil {
		return nil, ErrPoisoned
	}
	d.drainCalls()
	err := d.table.checkName(c)
	if err == nil {
		err = d.table.Err()
	}
	if err == nil {
		return h, nil
	}
	d.table.lock.release(h)
	return nil, err
}

// drainCalls goes once through every lock: calls that came before the gate's sign have ended then.
func (d *Dict) drainCalls() {
	d.dir.Load().each(func(s *shard) {
		s.mu.Lock()
		s.mu.Unlock() //nolint:staticcheck // an empty critical section is the point
	})
}
