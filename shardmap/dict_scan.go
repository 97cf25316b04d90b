package shardmap

// PopItem removes the newest entry and appends its key and value. Errors: ErrEmpty; ErrLong as Get,
// and for an inline call if very many entries that are newer have expired.
func (d *Dict) PopItem(c *Call, dst []byte) ([]byte, error) {
	for {
		c.Version = 0
		if err := d.lockAll(c); err != nil {
			return dst, err
		}
		v, dst, err := d.popLocked(c, dst)
		c.unlockShards()
		if err != ErrLong || !c.MayBlock { //nolint:errorlint // not wrapped
			return v.appendTo(c, dst), err
		}
	}
}

// popLocked is PopItem under the locks of all shards. A pair with a large value is returned pinned,
// not appended.
func (d *Dict) popLocked(c *Call, dst []byte) (pinned, []byte, error) {
	var newest *shard
	for tries := 0; ; tries++ {
		if newest = c.newestLocked(); newest == nil {
			return pinned{}, dst, ErrEmpty
		}
		if !newest.expired(c, newest.count-1) {
			break
		}
		if tries == maxExpiredTails {
			return pinned{}, dst, ErrLong
		}
		d.forgetTail(c, newest)
	}
	var v pinned
	e := newest.entry(newest.count - 1)
	switch {
	case !newest.isLarge(newest.count - 1):
		key, val := newest.pair(e)
		dst = append(append(dst, key...), val...)
	case !c.MayBlock:
		return v, dst, ErrLong
	default:
		key, val := newest.pair(e)
		v = d.pin(c, key, val)
	}
	w := d.table.begin(c, 1)
	c.Version = w.first
	newest.remove(&w, d.store.hashOf(newest.canonical(e)), newest.count-1)
	d.size.Add(-1)
	newest.countBytes()
	newest.compactIfDue(&w)
	c.complete()
	return v, dst, nil
}

// maxExpiredTails is how often a call removes expired entries in front of the newest one.
const maxExpiredTails = 4

// newestLocked returns the locked shard that has the newest entry of the dict, which is its last
// one; nil: the dict is empty.
func (c *Call) newestLocked() (newest *shard) {
	var place uint64
	for _, s := range c.lockedShards {
		if s.count == 0 {
			continue
		}
		if p := s.place(s.count - 1); newest == nil || p > place {
			newest, place = s, p
		}
	}
	return newest
}

// forgetTail removes expired entries at the end of a locked shard.
func (d *Dict) forgetTail(c *Call, s *shard) {
	c.victims = c.victims[:0]
	reason := Expired
	for num, n := s.count-1, 0; num >= 0 && n < maxForgotten; num-- {
		if !s.entry(num).live() {
			continue
		}
		if !s.expired(c, num) {
			break
		}
		reason = d.forgetNext(c, victim{s, num}, reason)
		n++
	}
	d.forget(c, reason, false)
}

// Clear removes all entries. It takes time for each shard, not for each entry.
func (d *Dict) Clear(c *Call) error {
	c.Version = 0
	if err := d.lockAll(c); err != nil {
		return err
	}
	if d.Len() == 0 {
		c.unlockShards()
		return nil
	}
	w := d.table.begin(c, 1)
	c.Version = w.first
	// Hand over before the new directory is published: a reader that finds the new shard assumes
	// that the old ones have been handed over and no longer count.
	for _, s := range c.lockedShards {
		s.handover(&w)
		d.size.Add(-int64(s.live))
		d.bytes.Add(-int64(s.counted))
	}
	d.mu.Lock()
	d.dir.Store(newDirectory(newShard(d.table, 0, 0, w.first-1)))
	d.mu.Unlock()
	d.retireShards(c, &w)()
	return nil
}

// drop ends the dict. Call free, which frees its memory, once the table can no longer be found.
// Errors: ErrNoTable if the dict was dropped before; ErrBusy if a long write owns the table.
func (d *Dict) drop(c *Call) (vs *viewList, free func(), err error) {
	if err := d.lockWhole(c); err != nil {
		return nil, nil, err
	}
	w := d.table.begin(c, 1)
	c.Version = w.first
	if d.table.lock.isPoisoned() { // its memory is not freed: its state is unknown
		d.table.state.Store(dropped)
		c.complete()
		c.unlockShards()
		return w.views, func() {}, nil
	}
	c.handoverShards(&w)
	d.table.state.Store(dropped) // not earlier: a table that a panic poisons must be found to be dropped
	return w.views, d.retireShards(c, &w), nil
}

// handoverShards hands over all locked shards.
func (c *Call) handoverShards(w *write) {
	for _, s := range c.lockedShards {
		s.handover(w)
	}
}

// retireShards retires and unlocks the locked shards, which have been handed over. free frees their
// memory.
func (d *Dict) retireShards(c *Call, w *write) (free func()) {
	blocks := 0
	for _, s := range c.lockedShards {
		s.retired = true
		s.unschedule()
		blocks += len(s.pages) + len(s.chunks)
	}
	old := append([]*shard(nil), c.lockedShards...)
	c.complete()
	c.unlockShards()
	first := w.first
	discard := func() {
		for _, s := range old {
			s.discard(d.store, first)
		}
	}
	if blocks <= inlineFrees {
		return discard
	}
	return func() { d.store.slabs.Background(discard) }
}

// Scan appends keys and values of at most limit entries, in order, starting after the place cursor
// (0: at the first). next is the place of the last entry, 0 if there are no more; n is the number
// of pairs.
//
// A scan by several calls yields every entry that exists throughout exactly once, whatever changes
// in between. A call returns at most InlineElements entries and about InlineBytes; a larger value
// is returned alone. Errors: ErrLong for an inline call on a dict with very many shards, or if the
// first value is larger than InlineBytes.
func (d *Dict) Scan(c *Call, dst []byte, cursor uint64, limit int) (out []byte, next uint64, n int, err error) {
	c.Version = 0
	limit = min(limit, InlineElements)
	if err := d.lockAll(c); err != nil {
		return dst, 0, 0, err
	}
	var v pinned
	m := c.mergeLocked(cursor)
	h := d.hiding(c)
	looked := 0
	most := len(dst) + InlineBytes
	for ; n < limit && len(m) > 0 && len(dst) < most && looked < InlineElements; looked++ {
		e := m[0].entry()
		if m[0].hidden(&h) {
			next = m[0].place
			m.next()
			continue
		}
		key, val := m[0].contents.pair(e)
		large := len(key)+len(val) > InlineBytes
		if large && n > 0 || v.val != nil {
			break
		}
		switch {
		case !large:
			dst = append(append(dst, key...), val...)
		case !c.MayBlock:
			c.unlockShards()
			return dst, 0, 0, ErrLong
		default:
			v = d.pin(c, key, val)
		}
		next = m[0].place
		m.next()
		n++
	}
	if len(m) == 0 {
		next = 0
	}
	c.Cost += 2 * copyCost * looked
	c.unlockShards()
	return v.appendTo(c, dst), next, n, nil
}

// mergeLocked returns a merge of the locked shards' entries after a place.
func (c *Call) mergeLocked(after uint64) merge {
	m := c.order[:0]
	for _, s := range c.lockedShards {
		m.add(s, after)
	}
	c.order = m
	m.init()
	return m
}

// What selects what AppendAll appends.
type What uint8

// What AppendAll can append.
const (
	Keys What = iota + 1
	Values
	Items
)

func (what What) append(dst, key, val []byte) []byte {
	if what != Values {
		dst = append(dst, key...)
	}
	if what != Keys {
		dst = append(dst, val...)
	}
	return dst
}

// AppendAll appends all keys, values, or both, in order, as of one instant. n is the number of
// entries.
//
// Errors: ErrLong for an inline call on more than InlineElements entries or InlineBytes; a View
// reads them without a copy.
func (d *Dict) AppendAll(c *Call, dst []byte, what What) (out []byte, n int, err error) {
	c.Version = 0
	out, n, err = d.appendLocked(c, dst, what)
	if err != ErrLong || !c.MayBlock { //nolint:errorlint // not wrapped
		return out, n, err
	}
	v, err := d.view(c)
	if err != nil {
		return dst, 0, err
	}
	defer v.Close()
	for e := range v.Drain() {
		dst = what.append(dst, e.Key, e.Val)
		n++
	}
	return dst, n, v.Err()
}

// appendLocked is AppendAll under the locks of all shards. Errors: ErrLong if that would take long.
func (d *Dict) appendLocked(c *Call, dst []byte, what What) (out []byte, n int, err error) {
	if d.Len() > InlineElements {
		return dst, 0, ErrLong
	}
	if err := d.lockAll(c); err != nil {
		return dst, 0, err
	}
	defer c.unlockShards()
	if d.Len() > InlineElements {
		return dst, 0, ErrLong
	}
	out = dst
	most := len(dst) + InlineBytes
	h := d.hiding(c)
	for m := c.mergeLocked(0); len(m) > 0; m.next() {
		e := m[0].entry()
		if m[0].hidden(&h) {
			continue
		}
		key, val := m[0].contents.pair(e)
		if what != Keys && len(val) > InlineBytes || len(out) > most {
			return dst, 0, ErrLong
		}
		out = what.append(out, key, val)
		n++
	}
	c.Cost += 2 * copyCost * n
	return out, n, nil
}
