package shardmap

// warm brings what the lookups of a batch will read into the processor's cache. A lookup is three cache misses that wait for each
// other (index, entry, record); here the misses of one kind do not, and overlap. The shards are held.
func (d *Dict) warm(c *Call) {
	dir := d.dir.Load()
	var sum uint32
	for i := range c.batch {
		hash := c.batch[i].hash
		if s := dir.shard(hash); len(s.index) > 0 {
			sum += s.index[hash&uint64(len(s.index)-1)]
		}
	}
	for i := range c.batch {
		item := &c.batch[i]
		item.candidate = dir.shard(item.hash).candidate(item.hash)
		if item.candidate >= 0 {
			sum += dir.shard(item.hash).entry(int(item.candidate)).loc
		}
	}
	for i := range c.batch {
		if item := &c.batch[i]; item.candidate >= 0 {
			s := dir.shard(item.hash)
			sum += uint32(s.record(s.entry(int(item.candidate)))[0])
		}
	}
	c.warmed = sum
}

// candidate returns the first entry that the index has under the hash's tag: mostly the one that find will return. -1: none.
func (s *shard) candidate(hash uint64) int32 {
	if len(s.index) == 0 {
		return -1
	}
	tag := tagOf(hash)
	mask := uint64(len(s.index) - 1)
	for i := hash & mask; s.index[i] != emptySlot; i = (i + 1) & mask {
		if slot := s.index[i]; slot&0xffff0000 == tag {
			return int32(slot & 0xffff)
		}
	}
	return -1
}
