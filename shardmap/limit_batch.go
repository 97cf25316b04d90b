package shardmap

// makeBatchRoom makes room for the call's batch, whose shards are locked, or if owned is set, whose
// table lock the caller owns: then it locks one shard at a time. It reserves room for new entries
// in Call.reserved. Policy S3FIFO makes room after the change, because the batch may be larger than
// the limit: the call is crowded.
//
// Errors: ErrFull. A batch of policy NearestDeadline that is too large for what may be evicted may
// have evicted some.
func (d *Dict) makeBatchRoom(c *Call, packed []byte, owned bool) error {
	c.reserved = 0
	o := d.options.Load()
	if c.Replay || !o.Limited() {
		return nil
	}
	if o.InForce() == S3FIFO {
		c.crowded = true
		return nil
	}
	for {
		entries, bytes := d.newInBatch(c, packed, owned) // again, because evicted entries may be in the batch
		n := d.lacks(o, entries, bytes)
		if n == 0 {
			if entries == 0 { // also above a limit that was lowered
				return nil
			}
			if d.reserve(o, entries) {
				c.reserved = entries
				return nil
			}
			continue // another call has taken the room
		}
		if d.forgetDueLocked(c, n) {
			continue
		}
		if o.InForce() == NoEviction || !d.evictForBatch(c, o, n, owned) {
			return d.full()
		}
	}
}

// evictForBatch evicts up to n entries that expire first. It returns false if there are none.
func (d *Dict) evictForBatch(c *Call, o *Options, n int, owned bool) (evicted bool) {
	dir := d.dir.Load()
	for i := 0; i < len(dir.shards) && !evicted; i += dir.span(dir.shards[i]) {
		s := dir.shards[i]
		if owned {
			c.lock(&s.mu)
		}
		d.takeVictims(c, s, o, min(n, maxForgotten), 0)
		if evicted = len(c.victims) > 0; evicted {
			d.forget(c, Evicted, true)
		}
		if owned {
			c.unlock()
		}
	}
	return evicted
}

// newInBatch returns how many entries and bytes the batch adds at most; a key that is in it twice
// adds its bytes twice.
func (d *Dict) newInBatch(c *Call, packed []byte, owned bool) (entries, bytes int) {
	all := c.batch
	absent := make([]batchItem, 0, len(all))
	for i := range all {
		item := &all[i]
		s, k := d.dir.Load().shard(item.hash), c.keyOf(packed, item)
		bytes += len(k.canonical) + len(k.original) + metaBytes(k.deadline) + int(item.end-item.val)
		if owned {
			c.lock(&s.mu)
		}
		if num := s.find(k.hash, k.canonical); num >= 0 {
			bytes -= len(s.record(s.entry(num)))
		} else {
			absent = append(absent, *item)
		}
		if owned {
			c.unlock()
		}
	}
	c.batch = absent
	entries = c.countDistinct(packed)
	c.batch = all
	return entries, bytes + EntryOverhead*entries
}

// tooManyEvictions reports whether an inline call would have to evict too many entries for its
// batch.
func (d *Dict) tooManyEvictions(c *Call, packed []byte, n int) bool {
	o := d.options.Load()
	return o.Limited() && !c.Replay && !c.MayBlock && n > maxInlineEvictions &&
		d.lacks(o, n, len(packed)) > maxInlineEvictions
}

// fitsEmpty says whether a new dict may have so many entries, packed. Errors: ErrFull.
func (o *Options) fitsEmpty(c *Call, entries, bytes int) error {
	if c.Replay || o.InForce() == S3FIFO ||
		(o.MaxEntries == 0 || int64(entries) <= o.MaxEntries) &&
			(o.MaxBytes == 0 || int64(bytes+EntryOverhead*entries) <= o.MaxBytes) {
		return nil
	}
	return ErrFull
}
