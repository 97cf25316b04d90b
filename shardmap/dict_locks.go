package shardmap

import "math/bits"

// lockAll locks all shards into Call.lockedShards, once the table is available to the call. None of
// them is retired.
//
// Errors: ErrLong for an inline call on a dict with very many shards.
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

// lockBatch locks the shards of all items of the Call's batch into Call.lockedShards, once the
// table is available to the call. None of them is retired.
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

// lockTouched locks the shards that the batch touches, in directory order. It returns false if one
// of them is retired.
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

// lockShard locks s and adds it to lockedShards. It returns false if s is retired.
func (c *Call) lockShard(s *shard) bool {
	s.mu.Lock()
	c.lockedShards = append(c.lockedShards, s)
	return !s.retired
}

// unlockShards unlocks all of lockedShards.
func (c *Call) unlockShards() {
	for i, s := range c.lockedShards {
		s.mu.Unlock()
		c.lockedShards[i] = nil
	}
	c.lockedShards = c.lockedShards[:0]
}

// lockWhole locks all shards into Call.lockedShards, for a change to the table itself. Errors:
// ErrNoTable; ErrBusy if a long write owns the table.
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

// lockShards locks all shards into Call.lockedShards, even if a long write owns the table. None of
// them is retired. It returns false, and locks nothing, if the table was dropped.
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

// own acquires the table lock: until it is released, no other call but those of views acts on the
// dict.
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

// drainCalls locks and unlocks each shard once. Calls that started before the table lock was taken
// have then ended.
func (d *Dict) drainCalls() {
	d.dir.Load().each(func(s *shard) {
		s.mu.Lock()
		s.mu.Unlock() //nolint:staticcheck // an empty critical section is the point
	})
}
