package shardmap

import "math"

// An entry that has expired is absent for every request, though it is still there: calls hide it.
// A call that changes its key removes it first, by an effect that is logged (forget.go). So a
// replay, which hides nothing, does not depend on the time.

// hiding says which entries have expired, as of one moment. A deadline is the last millisecond of
// an entry: times are rounded down, so it is never early.
type hiding struct {
	now     int64  // of the store; 0: no deadline has passed
	horizon uint64 // see Dict.horizon
}

// hides reports whether an entry has expired.
func (h *hiding) hides(deadline int64, version uint64) bool {
	if deadline != 0 {
		return deadline > 0 && deadline < h.now
	}
	return version <= h.horizon
}

// hiding returns what has expired now. A caller that finds an entry expired has read the time
// before. The next caller that gets the shard's lock finds it expired too.
func (d *Dict) hiding(c *Call) hiding {
	if c.Replay {
		return hiding{}
	}
	return d.hidingAt(d.store.now.Load())
}

func (d *Dict) hidingAt(now int64) hiding {
	if now >= d.moves.Load() {
		d.moveShown(now)
	}
	return hiding{now, d.shown.Load()}
}

// moveShown moves what is shown of entries that live by the table's default.
func (d *Dict) moveShown(now int64) {
	o := d.options.Load()
	horizon, moves := d.horizon.Load(), int64(math.MaxInt64)
	if ttl := o.TTL; ttl > 0 {
		var expired uint64
		expired, moves = d.agedOut(ttl, now)
		horizon = max(horizon, expired)
	}
	for {
		shown := d.shown.Load()
		if horizon <= shown || d.shown.CompareAndSwap(shown, horizon) {
			break
		}
	}
	if d.moves.Store(moves); d.options.Load() != o {
		d.moves.Store(0) // a view has read the time without a lock: moves may be wrong
	}
}

// mayExpire reports whether expired has to look at entry num: most entries live for ever.
func (s *shard) mayExpire(num int) bool { return s.ages || s.entry(num).size&flagMetadata != 0 }

// expired reports whether entry num is absent for every request.
func (s *shard) expired(c *Call, num int) bool {
	if !s.mayExpire(num) {
		return false
	}
	e := s.entry(num)
	h := s.table.dict.hiding(c)
	return h.hides(s.deadlineOf(e), e.version()) || s.idle(num, h.now)
}

// deadline returns the deadline of entry num; 0: as the table says; Forever.
func (s *shard) deadline(num int) int64 { return s.deadlineOf(s.entry(num)) }

// deadlineOf returns the deadline of a live entry.
func (c *contents) deadlineOf(e *entry) int64 {
	if e.size&flagMetadata == 0 {
		return 0
	}
	_, _, deadline := parts(c.record(e), e.size)
	return deadline
}

// lifetime returns the deadline of the entries that the call writes, and whether those that are
// there keep theirs.
func (c *Call) lifetime() (deadline int64, keeps bool) {
	switch {
	case c.TTL > 0:
		return min(c.Time+c.TTL, MaxDeadline), false
	case c.TTL == ForeverTTL:
		return Forever, false
	}
	return 0, c.TTL == KeepTTL
}

// TTL returns how many milliseconds the entry of a key still lives, at least 1; 0: it has no
// deadline. For an entry that lives by the table's default the answer may be too high by 0.1 % of
// that. Errors: ErrNoKey.
func (d *Dict) TTL(c *Call, given []byte) (int64, error) {
	var k key
	s, num, err := d.lockKey(c, given, &k, false)
	if err != nil {
		return 0, err
	}
	if num < 0 {
		c.unlock()
		return 0, ErrNoKey
	}
	deadline := d.deadlineAt(s.deadline(num), c.Version)
	c.unlock()
	if deadline <= 0 {
		return 0, nil
	}
	return max(deadline-d.store.now.Load(), 1), nil
}

// deadlineAt returns the deadline of an entry, with the table's default put in; 0: none.
func (d *Dict) deadlineAt(own int64, version uint64) int64 {
	ttl := d.Options().TTL
	switch {
	case own == Forever || own == 0 && ttl == 0:
		return 0
	case own > 0:
		return own
	}
	return d.agesOut(version, ttl)
}

// Count returns the number of entries, without those that have expired. Len counts them until they
// are removed, which usually takes less than a tenth of a second. While it takes longer, Count
// counts the others, in one shard after the other. Errors: ErrLong for an inline call that would
// have to.
func (d *Dict) Count(c *Call) (n int, err error) {
	if n = d.table.Len(); d.store.Behind() && d.volatile.Load() {
		n, err = d.countAll(c)
	}
	if most := d.options.Load().MaxEntries; most > 0 {
		n = int(min(int64(n), most)) // what is above is being evicted
	}
	return n, err
}

func (d *Dict) countAll(c *Call) (n int, err error) {
	if !c.MayBlock {
		return 0, ErrLong
	}
	for hash := uint64(0); ; {
		s, err := d.lock(c, hash)
		if err != nil {
			return 0, err
		}
		n += s.countVisible(c)
		next := (s.prefix + 1) << (64 - s.depth)
		c.unlock()
		if next == 0 {
			return n, nil
		}
		hash = next
	}
}

// countVisible returns the number of entries that have not expired.
func (s *shard) countVisible(c *Call) int {
	now := s.table.store.now.Load()
	if next := s.next(); !s.ages && (next == 0 || next >= now) {
		return s.live
	}
	n := 0
	for num := s.nextLive(0, s.count); num < s.count; num = s.nextLive(num+1, s.count) {
		if !s.expired(c, num) {
			n++
		}
	}
	return n
}

// Expire gives the entry of a key the deadline that Call.TTL says, and a new version. Errors:
// ErrNoKey.
func (d *Dict) Expire(c *Call, given []byte) error { return d.renew(c, given, true) }

// Touch makes the idle time of a key's entry begin anew. If the entry lives by the table's default,
// that begins anew too: the entry gets a new version. Errors: ErrNoKey.
func (d *Dict) Touch(c *Call, given []byte) error { return d.renew(c, given, false) }

// renew gives the entry of a key a new version, and if expire is set, the call's deadline.
func (d *Dict) renew(c *Call, given []byte, expire bool) error {
	var k key
	if err := d.resolve(c, given, &k); err != nil {
		return err
	}
	defer d.freeBlock(&k)
	for built := uint64(0); ; {
		s, num, err := d.lockResolved(c, &k, true)
		if err != nil {
			return err
		}
		if num < 0 {
			c.unlock()
			return ErrNoKey
		}
		if !expire {
			if k.deadline = s.deadline(num); k.deadline != 0 || d.Options().TTL == 0 {
				c.unlock()
				return nil
			}
		}
		moves := metaBytes(k.deadline) != metaBytes(s.deadline(num)) || d.store.views.Load().newest > 0
		if moves && s.isLarge(num) && c.Version != built {
			if !c.MayBlock {
				c.unlock()
				return ErrLong
			}
			built = c.Version
			v := d.pin(c, nil, s.value(num))
			c.unlock()
			d.freeBlock(&k)
			d.buildBlock(&k, v.appendTo(c, nil))
			continue
		}
		w := d.table.begin(c, 1)
		c.Version = w.first
		s.setDeadline(&w, &k, num)
		s.countBytes()
		d.splitOrCompact(c, &w, s)
		c.complete()
		c.unlock()
		return nil
	}
}

// setDeadline gives entry num the deadline of k and a new version. It writes in place if the record
// has room for that and no view sees it.
func (s *shard) setDeadline(w *write, k *key, num int) {
	e := s.entry(num)
	rec := s.record(e)
	_, val, old := parts(rec, e.size)
	meta := metaBytes(old)
	if metaBytes(k.deadline) != meta || !s.fits(w, num, e, len(rec)) {
		s.overwrite(w, k, num, append([]byte(nil), val...), w.first)
		return
	}
	e = s.writable(w, num)
	s.expectChange(num, e, k.deadline)
	putMeta(rec[len(rec)-len(val)-meta:], k.deadline)
	e.setVersion(w.first)
}
