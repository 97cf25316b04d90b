package shardmap

import "math"

// markGap is how far apart marks are at least, in milliseconds.
const markGap = 50

// SetNow raises the time of the store, in milliseconds since 1970 UTC. Entries whose deadline is
// earlier have expired. A caller that reads a clock for calls sets the time first.
func (s *Store) SetNow(now int64) {
	for {
		old := s.now.Load()
		if now <= old {
			return
		}
		if s.now.CompareAndSwap(old, now) {
			if now-old > maxStep && s.due.wake != nil {
				s.due.wake()
			}
			return
		}
	}
}

// maxStep is how far the time may advance at once, in milliseconds, without a look at what is due:
// the clock may have been set.
const maxStep = 1000

// Now returns the time of the store.
func (s *Store) Now() int64 { return s.now.Load() }

// OnDue sets wake to be called when Sweep has work earlier than NextDue has said. It is called
// under locks of a table: it must be short and must not call the store. Set it before the store is
// in use.
func (s *Store) OnDue(wake func()) { s.due.wake = wake }

// NextDue returns when Sweep has work, in milliseconds since 1970 UTC; 0: there is none.
func (s *Store) NextDue() int64 {
	next := s.due.next()
	if s.marking.Load() {
		next = s.now.Load() + markGap
	}
	if at, ok := s.crowd.next(s.now.Load()); ok && (next == 0 || at < next) {
		next = at
	}
	for _, d := range s.due.agingDicts() {
		if at := d.nextAging(); at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

// Behind says whether entries that have expired long ago are still there, because there are many of
// them: lengths count them.
func (s *Store) Behind() bool { return s.behind.Load() }

// SetBehind sets what Behind says.
func (s *Store) SetBehind(behind bool) { s.behind.Store(behind) }

// MarkTime notes that all LSNs up to now were assigned before now. It is for dicts with a default
// time to live.
func (s *Store) MarkTime() {
	if now := s.now.Load(); now > 0 {
		lsn := s.Clock()
		s.marks.add(Mark{max(now, s.now.Load()), lsn})
	}
}

// noteAging makes the sweeper note the time of the change that is being made.
func (s *Store) noteAging() {
	if !s.marking.Load() && s.marking.CompareAndSwap(false, true) && s.due.wake != nil {
		s.due.wake()
	}
}

// mark notes the time of the last changes, if there are any since the last mark.
func (s *Store) mark() {
	if s.Clock() > s.marks.last() {
		s.MarkTime()
		return
	}
	s.marking.Store(false)
	if s.Clock() > s.marks.last() { // a change that has not seen that
		s.noteAging()
	}
}

// endMarking ends marking, because no dict has a default time to live.
func (s *Store) endMarking() {
	s.marking.Store(false)
	if len(s.due.agingDicts()) > 0 { // one that has not seen that
		s.noteAging()
	}
}

// Sweep removes entries that have expired, at most maxForgotten, or returns held items that are
// due, at most maxReturned, and returns how many. more says that there is more to do
// now. It is for one goroutine.
func (s *Store) Sweep(c *Call) (removed int, more bool) {
	now := s.now.Load()
	if s.sweepCrowd(c) {
		return 1, true
	}
	for {
		sh, list := s.due.take(now)
		var n int
		var retry bool
		switch {
		case sh != nil:
			n, retry = s.sweepShard(c, sh, now)
		case list != nil:
			n, retry = s.sweepList(c, list, now)
		default:
			return s.sweepAging(c, now)
		}
		if n > 0 || retry {
			return n, true
		}
	}
}

// sweepShard removes expired entries from a shard that is due.
func (s *Store) sweepShard(c *Call, sh *shard, now int64) (removed int, retry bool) {
	c.lock(&sh.mu)
	defer c.unlock()
	sh.scheduled = 0
	t := sh.table
	switch {
	case sh.retired || t.state.Load() != present || t.lock.isPoisoned():
		return 0, false
	case t.lock.locked(): // by a long write
		sh.scheduled = now + markGap
		s.due.put(sh, sh.scheduled)
		return 0, false
	}
	more := sh.takeDue(c, now, maxForgotten)
	if removed = len(c.victims); removed > 0 {
		t.dict.forget(c, Expired, !more)
	} else if !more {
		more = sh.takeIdle(c, now, maxForgotten)
		if removed = len(c.victims); removed > 0 {
			t.dict.forget(c, Idle, !more)
		}
	}
	sh.schedule()
	return removed, more
}

// sweepAging moves the horizons of dicts with a default time to live, and removes entries below
// them.
func (s *Store) sweepAging(c *Call, now int64) (removed int, more bool) {
	if len(s.aging) == 0 {
		if s.aging = s.due.agingDicts(); len(s.aging) == 0 {
			s.endMarking()
			return 0, false
		}
		s.mark()
	}
	for ; len(s.aging) > 0; s.aging = s.aging[1:] {
		d := s.aging[0]
		if d.table.state.Load() != present || d.table.lock.isPoisoned() {
			s.due.age(d, false)
			continue
		}
		d.moveHorizon(c, now)
		if n, rest := d.sweepBelow(c); n > 0 || rest {
			return n, true
		}
	}
	s.aging = nil
	return 0, false
}

// moveHorizon moves the horizon to where the default time to live says, if entries are below it.
func (d *Dict) moveHorizon(c *Call, now int64) {
	ttl := d.Options().TTL
	if ttl == 0 || d.table.owned() {
		return
	}
	horizon, _ := d.agedOut(ttl, now)
	if horizon <= d.horizon.Load() || !d.anyBelow(horizon) {
		return
	}
	if err := d.SetHorizon(c, horizon); err != nil {
		return // a long write owns the table: the next sweep tries again
	}
}

// anyBelow reports whether a version may not be above the horizon.
func (d *Dict) anyBelow(horizon uint64) (below bool) {
	d.dir.Load().each(func(s *shard) {
		if !below {
			s.mu.Lock()
			below = !s.retired && s.live > 0 && s.oldest <= horizon
			s.mu.Unlock()
		}
	})
	return below
}

// SetHorizon moves the horizon, by an effect that is logged: entries without a deadline have
// expired if their version is at most lsn. Errors: ErrLong, ErrBusy; ErrNoTable.
func (d *Dict) SetHorizon(c *Call, lsn uint64) error {
	c.Version = 0
	if err := d.lockAll(c); err != nil {
		return err
	}
	defer c.unlockShards()
	if lsn > d.horizon.Load() {
		d.setHorizon(c, lsn)
	}
	return nil
}

// setHorizon is SetHorizon for a later horizon, under the locks of all shards.
func (d *Dict) setHorizon(c *Call, lsn uint64) {
	if c.effect = c.effect[:0]; c.Effects != nil {
		c.effect = c.Effects.Horizon(c.effect, d.table.Name(), lsn)
	}
	w := d.table.beginEffect(c)
	d.handoverSettings(&w)
	d.horizon.Store(lsn)
	d.setOptions(d.Options())
	c.complete()
}

// sweepBelow removes entries below the horizon from one shard.
func (d *Dict) sweepBelow(c *Call) (removed int, more bool) {
	horizon := d.horizon.Load()
	dir := d.dir.Load()
	for i := 0; i < len(dir.shards) && removed == 0 && !more; i += dir.span(dir.shards[i]) {
		removed, more = d.sweepShardBelow(c, dir.shards[i], horizon)
	}
	return removed, more
}

func (d *Dict) sweepShardBelow(c *Call, s *shard, horizon uint64) (removed int, more bool) {
	c.lock(&s.mu)
	defer c.unlock()
	if s.retired || s.oldest > horizon || d.table.lock.locked() {
		return 0, false
	}
	oldest, clock := uint64(math.MaxUint64), d.store.Clock()
	for i := range s.pages {
		p := &s.pages[i]
		if p.oldest <= horizon {
			if more = s.takeBelow(c, i, horizon, clock); more {
				break
			}
		}
		oldest = min(oldest, p.oldest)
	}
	if !more {
		s.oldest = min(oldest, clock+1)
	}
	if removed = len(c.victims); removed > 0 {
		d.forget(c, Expired, !more)
	}
	return removed, more
}

// takeBelow adds the entries of page i that are below the horizon to the call's victims, and sets
// the page's oldest version. more: there are too many.
func (s *shard) takeBelow(c *Call, i int, horizon, clock uint64) (more bool) {
	p := &s.pages[i]
	oldest := clock + 1
	for j := range min(len(p.entries), s.count-i*pageEntries) {
		e := &p.entries[j]
		if !e.live() || s.deadlineOf(e) != 0 {
			continue
		}
		if e.version() > horizon {
			oldest = min(oldest, e.version())
			continue
		}
		if len(c.victims) == maxForgotten {
			return true
		}
		c.victims = append(c.victims, victim{s, i<<pageBits | j})
	}
	p.oldest = oldest
	return false
}

// nextAging returns when entries without a deadline may expire next; 0: none can.
func (d *Dict) nextAging() int64 {
	ttl := d.Options().TTL
	if ttl == 0 || d.Len() == 0 || d.table.state.Load() != present {
		return 0
	}
	oldest := uint64(math.MaxUint64)
	d.dir.Load().each(func(s *shard) {
		s.mu.Lock()
		if s.live > 0 {
			oldest = min(oldest, s.oldest)
		}
		s.mu.Unlock()
	})
	return d.agesOut(max(oldest, 1), ttl)
}
