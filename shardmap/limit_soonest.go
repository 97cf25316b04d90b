package shardmap

// soonest returns the entry of a locked shard that expires first, but not the one with the version
// spare; -1: no other has a deadline. It is no longer among the shard's deadlines.
func (s *shard) soonest(spare uint64) int {
	kept := uint64(0)
	defer func() {
		if kept != 0 {
			s.push(kept)
		}
	}()
	for s.next() != 0 {
		item := s.pop()
		num, time := int(item&dueMask), int64(item>>dueBits)
		if num >= s.count || !s.entry(num).live() {
			continue
		}
		e := s.entry(num)
		switch deadline := s.deadlineOf(e); {
		case deadline > time:
			s.push(uint64(deadline)<<dueBits | uint64(num))
		case deadline < time: // another item has it
		case e.version() == spare:
			kept = item
		default:
			return num
		}
	}
	return -1
}

// evictSoonest evicts the entry that expires first in the locked shard s, or if it has none with a
// deadline, in another shard. It returns false if there is none.
func (d *Dict) evictSoonest(c *Call, s *shard, spare uint64) bool {
	if num := s.soonest(spare); num >= 0 {
		c.victims = append(c.victims, victim{s, num})
		d.forget(c, Evicted, false)
		return true
	}
	dir := d.dir.Load()
	for i := 0; i < len(dir.shards); i += dir.span(dir.shards[i]) {
		other := dir.shards[i]
		if other == s || !c.tryLockShard(other) {
			continue
		}
		num := other.soonest(spare)
		if num >= 0 {
			c.victims = append(c.victims, victim{other, num})
			d.forget(c, Evicted, true)
		}
		c.unlockShards()
		if num >= 0 {
			return true
		}
	}
	return false
}

// forgetDue removes up to n entries whose deadline has passed, and which take up room though no
// request sees them: of the locked shard s, or if it has none, of another one. It returns false if
// there are none.
func (d *Dict) forgetDue(c *Call, s *shard, n int) bool {
	if !d.volatile.Load() {
		return false
	}
	if d.forgetDueOf(c, s, n) {
		return true
	}
	dir, found := d.dir.Load(), false
	for i := 0; i < len(dir.shards) && !found; i += dir.span(dir.shards[i]) {
		if other := dir.shards[i]; other != s && c.tryLockShard(other) {
			found = d.forgetDueOf(c, other, n)
			c.unlockShards()
		}
	}
	return found
}

// forgetDueLocked is forgetDue for the shards that a batch has locked.
func (d *Dict) forgetDueLocked(c *Call, n int) (found bool) {
	for i := 0; i < len(c.lockedShards) && !found && d.volatile.Load(); i++ {
		found = d.forgetDueOf(c, c.lockedShards[i], n)
	}
	return found
}

func (d *Dict) forgetDueOf(c *Call, s *shard, n int) bool {
	for more := true; more && len(c.victims) == 0; {
		more = s.takeDue(c, d.hiding(c).now, min(n, maxForgotten))
	}
	if len(c.victims) == 0 {
		return false
	}
	d.forget(c, Expired, false)
	return true
}
