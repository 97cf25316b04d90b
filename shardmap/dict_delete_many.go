package shardmap

import "github.com/tinylib/msgp/msgp"

// maxCompacted is how many live entries an inline call moves before it leaves the other shards for
// later calls to compact. A shard is compacted when a quarter of it is dead, so a removal leads to
// three moves, and later calls keep up.
const maxCompacted = 4 * InlineElements

// DeleteMany removes n keys, encoded back to back, and appends for each a bool: whether it was
// there, and not removed before by the same call. The removals have one LSN.
//
// Errors: *value.Error TypeError for a key that is not hashable, and nothing is removed; ErrLong
// for an inline call with more than InlineElements keys or InlineBytes.
func (d *Dict) DeleteMany(c *Call, dst, keys []byte, n int) ([]byte, error) {
	c.Version = 0
	if (n > InlineElements || len(keys) > InlineBytes) && !c.MayBlock {
		return dst, ErrLong
	}
	defer c.trim()
	if err := d.readBatch(c, keys, n, false); err != nil || n == 0 {
		return dst, err
	}
	if n <= InlineElements && len(keys) <= InlineBytes {
		return d.deleteBatch(c, dst, keys)
	}
	h, err := d.own(c)
	if err != nil {
		return dst, err
	}
	defer d.table.unlock(c, h)
	d.forgetBatchOwned(c, keys)
	return d.deleteBatchOwned(c, h, dst, keys), nil
}

// deleteBatch removes the keys of the batch under the locks of all their shards.
func (d *Dict) deleteBatch(c *Call, dst, keys []byte) ([]byte, error) {
	if err := d.lockBatch(c); err != nil {
		return dst, err
	}
	defer c.unlockShards()
	c.prefetchBatch(d)
	d.forgetBatch(c, keys)
	var w write
	removed := 0
	for i := range c.batch {
		s, k := d.batchKey(c, keys, i)
		num := s.find(k.hash, k.canonical)
		dst = msgp.AppendBool(dst, num >= 0)
		if num < 0 {
			continue
		}
		if removed == 0 {
			w = d.table.begin(c, 1)
		}
		s.remove(&w, k.hash, num)
		removed++
	}
	if removed == 0 {
		return dst, nil
	}
	compacted := 0
	for _, s := range c.lockedShards {
		s.countBytes()
		if (c.MayBlock || compacted < maxCompacted) && s.compactIfDue(&w) {
			compacted += s.live
		}
	}
	d.size.Add(-int64(removed))
	c.Version = w.first
	c.complete()
	return dst, nil
}

// deleteBatchOwned removes the keys of the batch one by one. The caller owns the table lock.
func (d *Dict) deleteBatchOwned(c *Call, h *lockOwner, dst, keys []byte) []byte {
	var w write
	removed := 0
	for i := range c.batch {
		s, k := d.batchKey(c, keys, i)
		c.lock(&s.mu)
		num := s.find(k.hash, k.canonical)
		dst = msgp.AppendBool(dst, num >= 0)
		if num >= 0 {
			if removed == 0 {
				first, vs := h.assign(c, d.table, 1)
				w = d.table.write(first, vs)
			}
			s.remove(&w, k.hash, num)
			s.countBytes()
			s.compactIfDue(&w)
			removed++
		}
		c.unlock()
	}
	if removed > 0 {
		d.size.Add(-int64(removed))
		c.Version = w.first
		c.complete()
	}
	return dst
}

// batchKey returns key i of the batch and its shard.
func (d *Dict) batchKey(c *Call, keys []byte, i int) (*shard, key) {
	item := &c.batch[i]
	return d.dir.Load().shard(item.hash), c.keyOf(keys, item)
}
