package shardmap

import "math/bits"

// lockAll locks all shards, none of them retired, of a table that is not closed to the call, and
// leaves them in Call.held.
//
// Errors: ErrLong for an inline call on a dict of very many shards.
func (d *Dict) lockAll(c *Call) error {
	for {
		dir := d.dir.Load()
		if len(dir.shards) > InlineElements && !c.Beside {
			return ErrLong
		}
		ok := true
		for i := 0; i < len(dir.shards) && ok; i += dir.span(dir.shards[i]) {
			ok = c.hold(dir.shards[i])
		}
		if ok && !d.table.closed(c) {
			c.Cost += movedCost * len(c.held)
			return nil
		}
		c.release()
		if err := d.meet(c); err != nil {
			return err
		}
	}
}

// lockBatch locks the shards of all items of the Call's batch, none of them retired, of a table
// that is not closed to the call, and leaves them in Call.held.
func (d *Dict) lockBatch(c *Call) error {
	for {
		if c.holdTouched(d.dir.Load()) && !d.table.closed(c) {
			return nil
		}
		c.release()
		if err := d.meet(c); err != nil {
			return err
		}
	}
}

// holdTouched locks the shards that the batch touches, in directory order; false: one of them is
// retired.
func (c *Call) holdTouched(dir *directory) bool {
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
			if !c.hold(s) {
				return false
			}
		}
	}
	return true
}

// hold locks s and adds it to held; false: it is retired.
func (c *Call) hold(s *shard) bool {
	s.mu.Lock()
	c.held = append(c.held, s)
	return !s.retired
}

// release unlocks what is held.
func (c *Call) release() {
	for i, s := range c.held {
		s.mu.Unlock()
		c.held[i] = nil
	}
	c.held = c.held[:0]
}

// lockWhole locks all shards for a change to the table itself, and leaves them in Call.held.
// Errors: ErrNoTable; ErrBusy if a long write owns the table.
func (d *Dict) lockWhole(c *Call) error {
	if !d.holdAll(c) {
		return ErrNoTable
	}
	if d.table.owned() {
		c.release()
		return ErrBusy
	}
	return nil
}

// holdAll locks all shards, none of them retired, and leaves them in Call.held; false, and nothing
// held: the table was dropped.
func (d *Dict) holdAll(c *Call) bool {
	for {
		dir := d.dir.Load()
		ok := true
		for i := 0; i < len(dir.shards) && ok; i += dir.span(dir.shards[i]) {
			ok = c.hold(dir.shards[i])
		}
		switch {
		case d.table.fate.Load() == dropped:
			c.release()
			return false
		case ok:
			return true
		}
		c.release()
	}
}

// own makes the caller the owner of the dict: no call but those of views acts on it until the gate
// is left.
func (d *Dict) own(c *Call) (*hold, error) {
	h := d.table.gate.enter()
	if h == nil {
		return nil, ErrSpoiled
	}
	d.pass()
	err := d.table.lost(c)
	if err == nil {
		err = d.table.Err()
	}
	if err == nil {
		return h, nil
	}
	d.table.gate.leave(h)
	return nil, err
}

// pass goes once through every lock: calls that came before the gate's sign have ended then.
func (d *Dict) pass() {
	d.dir.Load().each(func(s *shard) {
		s.mu.Lock()
		s.mu.Unlock() //nolint:staticcheck // an empty critical section is the point
	})
}
