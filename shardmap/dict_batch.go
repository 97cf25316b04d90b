package shardmap

import (
	"math"
	"math/rand/v2"

	"cyberdb-fast/codec/value"
)

// Absent stands in a GetMany result for a key that the dict does not have. No encoding starts with
// it.
const Absent = 0xc1

// batchItem is one key of a packed argument, with its value if there is one.
type batchItem struct {
	hash      uint64
	key       uint32 // offsets into the packed argument
	val       uint32
	end       uint32
	canonical uint32 // offset into Call.key; isCanonical: the key itself
}

const isCanonical = math.MaxUint32

// readPairs reads n pairs of key and value into the Call's batch. Errors: *value.Error TypeError
// for a key that is not hashable.
func (d *Dict) readPairs(c *Call, packed []byte, n int) error { return d.readBatch(c, packed, n, true) }

func (d *Dict) readBatch(c *Call, packed []byte, n int, pairs bool) error {
	c.batch, c.key = c.batch[:0], c.key[:0]
	at := 0
	for range n {
		item := batchItem{key: uint32(at), canonical: isCanonical}
		at += value.Size(packed[at:])
		given := packed[item.key:at]
		item.val = uint32(at)
		if pairs {
			at += value.Size(packed[at:])
		}
		item.end = uint32(at)

		start := len(c.key)
		canonical, unequal, err := value.Key(given, c.key[start:])
		if err != nil {
			return err
		}
		switch {
		case unequal:
			c.key = unequalKey(c.key[:start], rand.Uint64())
			canonical, item.canonical = c.key[start:], uint32(start)
		case &canonical[0] != &given[0]:
			c.key = append(c.key[:start], canonical...)
			item.canonical = uint32(start)
		}
		item.hash = d.store.hashOf(canonical)
		c.batch = append(c.batch, item)
	}
	return nil
}

// countDistinct returns the number of different keys in the batch.
func (c *Call) countDistinct(packed []byte) int {
	n := 0
	slots := make([]int32, indexSlots(len(c.batch))) // open addressing: item of the batch + 1
	mask := uint64(len(slots) - 1)
	for i := range c.batch {
		item := &c.batch[i]
		at := item.hash & mask
		for ; slots[at] != 0; at = (at + 1) & mask {
			other := &c.batch[slots[at]-1]
			if other.hash == item.hash &&
				string(c.keyOf(packed, other).canonical) == string(c.keyOf(packed, item).canonical) {
				break
			}
		}
		if slots[at] == 0 {
			slots[at] = int32(i + 1)
			n++
		}
	}
	return n
}

// keyOf returns the key of an item of the batch.
func (c *Call) keyOf(packed []byte, item *batchItem) key {
	given := packed[item.key:item.val]
	var deadline int64
	var keeps bool
	if c.TTL != DefaultTTL {
		deadline, keeps = c.lifetime()
	}
	if item.canonical == isCanonical {
		return key{hash: item.hash, canonical: given, deadline: deadline, keeps: keeps}
	}
	rest := c.key[item.canonical:]
	canonical := rest[:value.Size(rest)]
	k := key{hash: item.hash, canonical: canonical, deadline: deadline, keeps: keeps}
	if string(canonical) != string(given) {
		k.original = given
	}
	return k
}

// Update stores n pairs of key and value, encoded back to back, in that order: all of them or none.
//
// Errors: *value.Error TypeError for a key that is not hashable; ErrLong for an inline call with
// more than InlineElements pairs or InlineBytes, or if several shards would split.
func (d *Dict) Update(c *Call, packed []byte, n int) error {
	c.Version = 0
	if (n > InlineElements || len(packed) > InlineBytes) && !c.MayBlock || d.tooManyEvictions(c, packed, n) {
		return ErrLong
	}
	defer c.trim()
	if err := d.readPairs(c, packed, n); err != nil || n == 0 {
		return err
	}
	if err := d.update(c, packed, n); err != nil {
		return err
	}
	if c.crowded {
		d.trimNow(c)
	}
	return nil
}

// update stores the batch of n pairs.
func (d *Dict) update(c *Call, packed []byte, n int) error {
	if n <= InlineElements && len(packed) <= InlineBytes {
		if err := d.lockUpdate(c); err != nil {
			return err
		}
		if d.splitsDue(c) <= 1 {
			d.forgetBatch(c, packed)
			err := d.makeBatchRoom(c, packed, false)
			if err == nil {
				d.updateLocked(c, packed)
			}
			c.unlockShards()
			return err
		}
		c.unlockShards()
		if !c.MayBlock {
			return ErrLong
		}
	}
	h, err := d.own(c)
	if err != nil {
		return err
	}
	defer d.table.unlock(c, h)
	d.forgetBatchOwned(c, packed)
	if err := d.makeBatchRoom(c, packed, true); err != nil {
		return err
	}
	first, vs := h.assign(c, d.table, uint64(n))
	w := d.table.write(first, vs)
	d.updateOwned(c, &w, packed)
	return nil
}

// lockUpdate locks the shards of the call's batch, or all if an entry of any may have to make room.
func (d *Dict) lockUpdate(c *Call) error {
	if d.options.Load().InForce() != NearestDeadline {
		if err := d.lockBatch(c); err != nil {
			return err
		}
		if d.options.Load().InForce() != NearestDeadline {
			return nil
		}
		c.unlockShards() // the policy has changed before they were locked
	}
	return d.lockAll(c)
}

// batchLoad is the most that a batch adds to a shard.
type batchLoad struct{ entries, bytes int }

// add counts an item.
func (l *batchLoad) add(item *batchItem) {
	l.entries++
	// the canonical key is hardly longer than the given one
	n := int(item.end-item.key) + int(item.val-item.key)
	if n <= maxBumpBytes {
		l.bytes += n
	}
}

// overfull reports whether the shard may have to split when l is added.
func (s *shard) overfull(l batchLoad) bool {
	return s.live+l.entries > s.splitAt || s.liveBytes+l.bytes > s.splitBytes
}

// splitsDue returns how many of the locked shards may have to split when the batch is stored.
func (d *Dict) splitsDue(c *Call) int {
	var all batchLoad
	for i := range c.batch {
		all.add(&c.batch[i])
	}
	most := 0
	for _, s := range c.lockedShards {
		s.incoming = batchLoad{}
		if s.overfull(all) {
			most++
		}
	}
	if most <= 1 {
		return most
	}
	dir := d.dir.Load()
	for i := range c.batch {
		dir.shard(c.batch[i].hash).incoming.add(&c.batch[i])
	}
	due := 0
	for _, s := range c.lockedShards {
		if s.overfull(s.incoming) {
			due++
		}
	}
	return due
}

// updateLocked stores the batch in the locked shards.
func (d *Dict) updateLocked(c *Call, packed []byte) {
	w := d.table.begin(c, uint64(len(c.batch)))
	c.prefetchBatch(d)
	added := 0
	for i := range c.batch {
		item := &c.batch[i]
		s := d.dir.Load().shard(item.hash)
		k := c.keyOf(packed, item)
		added += s.put(&w, &k, packed[item.val:item.end], w.first+uint64(i))
		if s.full() {
			d.split(c, &w, s)
		}
	}
	for _, s := range c.lockedShards {
		if !s.retired {
			s.countBytes()
			s.compactIfDue(&w)
		}
	}
	d.size.Add(int64(added - c.reserved))
	c.Version = w.first + uint64(len(c.batch)) - 1
	c.complete()
}

// findVisible returns the number of the entry with the key, -1 if there is none or it has expired.
func (s *shard) findVisible(c *Call, k *key) int {
	num := s.find(k.hash, k.canonical)
	if num < 0 || s.mayExpire(num) && s.expired(c, num) {
		return -1
	}
	s.touch(num)
	return num
}

// put inserts or overwrites an entry, and returns how many entries were added.
func (s *shard) put(w *write, k *key, val []byte, lsn uint64) int {
	if num := s.find(k.hash, k.canonical); num >= 0 {
		if k.keeps {
			k.deadline = s.deadline(num)
		}
		s.touch(num)
		s.overwrite(w, k, num, val, lsn)
		return 0
	}
	s.insert(w, k, val, lsn)
	return 1
}

// updateOwned stores the batch item by item. The caller owns the table lock.
func (d *Dict) updateOwned(c *Call, w *write, packed []byte) {
	added := 0
	for i := range c.batch {
		item := &c.batch[i]
		k, val := c.keyOf(packed, item), packed[item.val:item.end]
		d.buildBlock(&k, val)
		s := d.dir.Load().shard(item.hash)
		c.lock(&s.mu)
		added += s.put(w, &k, val, w.first+uint64(i))
		s.countBytes()
		d.splitOrCompact(c, w, s)
		c.unlock()
		d.freeBlock(&k)
	}
	d.size.Add(int64(added - c.reserved))
	c.Version = w.first + uint64(len(c.batch)) - 1
	c.complete()
}

// fill stores the batch in a dict that is being created. Its creator owns the table lock and has
// been assigned the LSNs from first on.
func (d *Dict) fill(c *Call, packed []byte, first uint64) {
	// No open view shows the table, so nothing is saved for views.
	w := write{store: d.store, first: first, views: &viewList{}}
	c.reserved, c.crowded = 0, !c.Replay && d.options.Load().Limited()
	d.updateOwned(c, &w, packed)
}

// GetMany appends the value of each of n keys, encoded back to back, or the byte Absent.
//
// Errors: *value.Error TypeError for a key that is not hashable; ErrLong for an inline call with
// more than InlineElements keys or InlineBytes of values; ErrTooLarge for more than MaxResultBytes
// of values.
func (d *Dict) GetMany(c *Call, dst, keys []byte, n int) ([]byte, error) {
	c.Version, c.Found = 0, 0
	if n > InlineElements && !c.MayBlock {
		return dst, ErrLong
	}
	defer c.trim()
	if err := d.readBatch(c, keys, n, false); err != nil {
		return dst, err
	}
	if !c.MayBlock {
		return d.getLocked(c, dst, keys)
	}
	h, err := d.own(c)
	if err != nil {
		return dst, err
	}
	defer d.table.unlock(c, h)
	return d.getOwned(c, dst, keys)
}

// getLocked reads the batch under the locks of all its shards.
func (d *Dict) getLocked(c *Call, dst, keys []byte) ([]byte, error) {
	if err := d.lockBatch(c); err != nil {
		return dst, err
	}
	defer c.unlockShards()
	c.prefetchBatch(d)
	most := len(dst) + InlineBytes
	for i := range c.batch {
		item := &c.batch[i]
		s, k := d.dir.Load().shard(item.hash), c.keyOf(keys, item)
		num := s.findVisible(c, &k)
		if num >= 0 && s.isLarge(num) || len(dst) > most {
			return dst, ErrLong
		}
		dst = s.appendOrAbsent(c, dst, num)
	}
	return dst, nil
}

// getOwned reads the batch item by item. The caller owns the table lock.
func (d *Dict) getOwned(c *Call, dst, keys []byte) ([]byte, error) {
	most := len(dst) + MaxResultBytes
	for i := range c.batch {
		item := &c.batch[i]
		s, k := d.dir.Load().shard(item.hash), c.keyOf(keys, item)
		c.lock(&s.mu)
		num := s.findVisible(c, &k)
		if num >= 0 && s.isLarge(num) {
			v := d.pin(c, nil, s.value(num))
			c.unlock()
			dst = v.appendTo(c, dst)
			c.Found++
		} else {
			dst = s.appendOrAbsent(c, dst, num)
			c.unlock()
		}
		if len(dst) > most {
			return dst, ErrTooLarge
		}
	}
	return dst, nil
}

// appendOrAbsent appends the value of entry num, or Absent if num is negative.
func (s *shard) appendOrAbsent(c *Call, dst []byte, num int) []byte {
	if num < 0 {
		return append(dst, Absent)
	}
	c.Found++
	return append(dst, s.value(num)...)
}
