package shardmap

// PopItem removes the newest entry and appends its key and value. Errors: ErrEmpty; ErrLong as Get.
func (d *Dict) PopItem(c *Call, dst []byte) ([]byte, error) {
	c.Version = 0
	if err := d.lockAll(c); err != nil {
		return dst, err
	}
	defer c.release()
	var newest *shard
	var place uint64
	for _, s := range c.held {
		if s.count == 0 {
			continue
		}
		if p := s.place(s.count - 1); newest == nil || p > place {
			newest, place = s, p
		}
	}
	if newest == nil {
		return dst, ErrEmpty
	}
	if !c.Beside && newest.isBig(newest.count-1) {
		return dst, ErrLong
	}
	w := d.table.begin(1)
	newest.handover(&w)
	c.Version = w.first
	e := newest.entry(newest.count - 1)
	key, val := newest.pair(e)
	dst = append(append(dst, key...), val...)
	newest.remove(&w, d.store.hashOf(newest.canonical(e)), newest.count-1)
	d.size.Add(-1)
	newest.compactIfDue(&w)
	return dst, nil
}

// Clear removes all entries. The time it takes does not grow with them, but with the shards.
func (d *Dict) Clear(c *Call) error {
	c.Version = 0
	if err := d.lockAll(c); err != nil {
		return err
	}
	if d.Len() == 0 {
		c.release()
		return nil
	}
	w := d.table.begin(1)
	c.Version = w.first
	// Before the new directory can be seen: a view's reader that meets its shard takes it that the old ones have been handed over.
	for _, s := range c.held {
		s.handover(&w)
	}
	d.mu.Lock()
	d.dir.Store(newDirectory(newShard(d.table, 0, 0, w.first)))
	d.mu.Unlock()
	d.retireHeld(c, &w)
	return nil
}

// drop ends the dict. Errors: ErrNoTable if that was done before, ErrBusy if a long write owns the table.
func (d *Dict) drop() (n uint64, vs *viewList, err error) {
	var c Call
	dir := d.dir.Load()
	for ok := false; !ok; dir = d.dir.Load() {
		c.release()
		ok = true
		for i := 0; i < len(dir.shards) && ok; i += dir.span(dir.shards[i]) {
			ok = c.hold(dir.shards[i])
		}
		if d.table.dropped.Load() {
			c.release()
			return 0, nil, ErrNoTable
		}
	}
	if d.table.gate.shut() {
		c.release()
		return 0, nil, ErrBusy
	}
	w := d.table.begin(1)
	d.table.dropped.Store(true)
	d.retireHeld(&c, &w)
	return w.first, w.views, nil
}

// retireHeld retires all shards, which are held, hands them over, lets them go and has their memory freed.
func (d *Dict) retireHeld(c *Call, w *write) {
	live := 0
	for _, s := range c.held {
		live += s.live
		s.retired = true
		s.handover(w)
	}
	d.size.Add(-int64(live))
	old := append([]*shard(nil), c.held...)
	c.release()
	free := func() {
		for _, s := range old {
			s.discard(d.store, w.first)
		}
	}
	if len(old) == 1 {
		free()
	} else {
		go free()
	}
}

// Scan appends keys and values of at most limit entries, in order, beginning behind the place cursor (0: with the first). next is the place of the last
// one, 0 if there are no more; n is how many pairs there are.
//
// A scan by several calls shows every entry that is there all the while once, whatever happens between. A call returns at most some InlineBytes, and an
// inline call at most InlineElements entries. Errors: ErrLong for an inline call on a dict of very many shards, or if the first value has more than
// InlineBytes.
func (d *Dict) Scan(c *Call, dst []byte, cursor uint64, limit int) (out []byte, next uint64, n int, err error) {
	c.Version = 0
	if !c.Beside {
		limit = min(limit, InlineElements)
	}
	if err := d.lockAll(c); err != nil {
		return dst, 0, 0, err
	}
	defer c.release()
	m := c.mergeHeld(cursor)
	for most := len(dst) + InlineBytes; n < limit && len(m) > 0 && len(dst) < most; n++ {
		key, val := m[0].contents.pair(m[0].entry())
		if len(val) > InlineBytes && !c.Beside {
			if n == 0 {
				return dst, 0, 0, ErrLong
			}
			break
		}
		dst = append(append(dst, key...), val...)
		next = m[0].place
		m.next()
	}
	if len(m) == 0 {
		next = 0
	}
	return dst, next, n, nil
}

// mergeHeld returns a merge of the held shards' entries behind the place after.
func (c *Call) mergeHeld(after uint64) merge {
	m := c.order[:0]
	for _, s := range c.held {
		m.add(&s.contents, after)
	}
	c.order = m
	m.init()
	return m
}

// What says what AppendAll appends.
type What uint8

// What AppendAll appends.
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

// AppendAll appends all keys, values, or keys and values, in order, of one moment. n is how many entries there are.
//
// Errors: ErrLong for an inline call on more than InlineElements entries or InlineBytes; a View reads them without a copy.
func (d *Dict) AppendAll(c *Call, dst []byte, what What) (out []byte, n int, err error) {
	c.Version = 0
	out, n, err = d.appendHeld(c, dst, what)
	if err != ErrLong || !c.Beside { //nolint:errorlint // not wrapped
		return out, n, err
	}
	v, err := d.view()
	if err != nil {
		return dst, 0, err
	}
	defer v.Close()
	for key, val := range v.Entries() {
		dst = what.append(dst, key, val)
		n++
	}
	return dst, n, nil
}

// appendHeld is AppendAll under the locks of all shards. Errors: ErrLong if that would take long.
func (d *Dict) appendHeld(c *Call, dst []byte, what What) (out []byte, n int, err error) {
	if d.Len() > InlineElements {
		return dst, 0, ErrLong
	}
	if err := d.lockAll(c); err != nil {
		return dst, 0, err
	}
	defer c.release()
	if d.Len() > InlineElements {
		return dst, 0, ErrLong
	}
	out = dst
	most := len(dst) + InlineBytes
	for m := c.mergeHeld(0); len(m) > 0; m.next() {
		key, val := m[0].contents.pair(m[0].entry())
		if what != Keys && len(val) > InlineBytes || len(out) > most {
			return dst, 0, ErrLong
		}
		out = what.append(out, key, val)
		n++
	}
	return out, n, nil
}
