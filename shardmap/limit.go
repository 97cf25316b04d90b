package shardmap

import "math"

// A change that adds to a dict with a limit makes room first, in the critical section of the change
// where it can: so the dict is never above its limit. Only a change that needs more room than its
// shard has, that loses it to other calls again and again, or that has many keys, evicts
// afterwards, before it returns. Evictions are logged effects, so a replay needs no limit.

// maxInlineEvictions is the most entries that an inline call evicts.
const maxInlineEvictions = 1024

// maxRoomTries is how often a call makes room in its own shard.
const maxRoomTries = 8

// UsedBytes returns what Options.MaxBytes limits.
func (d *Dict) UsedBytes() int64 { return d.bytes.Load() + EntryOverhead*d.size.Load() }

// Removals are how many entries the store has removed from a dict by itself, by reason, and how
// many changes it has refused for lack of room.
type Removals struct{ Expired, Idle, Evicted, Refused uint64 }

// Removals returns the dict's counts since it was created or loaded.
func (d *Dict) Removals() Removals {
	return Removals{d.removed[Expired].Load(), d.removed[Idle].Load(), d.removed[Evicted].Load(), d.refused.Load()}
}

// lacks returns how many entries must go before so many entries and bytes can be added, by an
// estimate if the limit is one of bytes; 0: none.
func (d *Dict) lacks(o *Options, entries, bytes int) (n int) {
	size := d.size.Load()
	if o.MaxEntries > 0 && entries > 0 {
		n = int(max(size+int64(entries)-o.MaxEntries, 0))
	}
	if o.MaxBytes > 0 && bytes > 0 {
		used := d.UsedBytes()
		if over := used + int64(bytes) - o.MaxBytes; over > 0 {
			n = max(n, int(over/max(used/max(size, 1), 1))+1)
		}
	}
	return n
}

// excess returns how many entries the dict must evict to be within its limits, as lacks.
func (d *Dict) excess(o *Options) int {
	if o.InForce() == NoEviction {
		return 0
	}
	n := int64(0)
	if o.MaxEntries > 0 {
		n = d.size.Load() - o.MaxEntries
	}
	if o.MaxBytes > 0 && d.UsedBytes() > o.MaxBytes {
		n = max(n, int64(d.lacks(&Options{MaxBytes: o.MaxBytes}, 0, 1)))
	}
	return int(max(n, 0))
}

// reserve counts an entry that is about to be added, if the limit allows it.
func (d *Dict) reserve(o *Options, entries int) bool {
	for {
		n := d.size.Load()
		if o.MaxEntries > 0 && n+int64(entries) > o.MaxEntries {
			return false
		}
		if d.size.CompareAndSwap(n, n+int64(entries)) {
			return true
		}
	}
}

// full counts a change that is refused.
func (d *Dict) full() error {
	d.refused.Add(1)
	return ErrFull
}

// makeRoom makes room for val, which is about to be stored under k in the locked shard s, where it
// replaces entry num (-1: none). If the call is crowded afterwards, room is made after the change.
//
// Errors: ErrFull; ErrLong for an inline call that would have to evict more than
// maxInlineEvictions.
func (d *Dict) makeRoom(c *Call, s *shard, k *key, num int, val []byte) error {
	if c.Replay {
		return nil
	}
	o := d.options.Load()
	record := len(k.canonical) + len(k.original) + metaBytes(k.deadline) + len(val)
	if o.MaxBytes > 0 && int64(record)+EntryOverhead > o.MaxBytes {
		return d.full()
	}
	entries, bytes, spare := 1, record+EntryOverhead, uint64(0)
	if num >= 0 {
		e := s.entry(num)
		entries, bytes, spare = 0, record-len(s.record(e)), e.version()
	}
	for tries := 0; ; tries++ {
		n := d.lacks(o, entries, bytes)
		if n == 0 {
			if k.reserved = entries > 0 && d.reserve(o, entries); k.reserved || entries == 0 {
				return nil
			}
			continue // another call has taken the room
		}
		switch policy := o.InForce(); {
		case num < 0 && policy != S3FIFO && d.forgetDue(c, s, n):
		case policy == NoEviction:
			return d.full()
		case n > maxInlineEvictions && !c.MayBlock:
			return ErrLong
		case policy == NearestDeadline:
			if !d.evictSoonest(c, s, spare) {
				return d.full()
			}
		default:
			if tries < maxRoomTries {
				s.takeUnused(c, min(n, maxForgotten), math.MaxInt, spare)
			}
			if len(c.victims) == 0 {
				c.crowded = true
				return nil
			}
			d.forget(c, Evicted, false)
		}
	}
}

// trimNow evicts what is above the limit, but not the entry of the call's version.
func (d *Dict) trimNow(c *Call) {
	c.crowded = false
	for d.trim(c, c.Version) {
	}
}

// trim evicts some of what is above the limit. more: there is more to do. The call holds no lock.
func (d *Dict) trim(c *Call, spare uint64) (more bool) {
	o := d.options.Load()
	for tries := 0; ; tries++ {
		n := d.excess(o)
		if n == 0 {
			return false
		}
		dir := d.dir.Load()
		if tries == len(dir.shards) {
			return false // no other entry may be evicted
		}
		s := dir.shards[int(d.trimmed.Add(1))%len(dir.shards)]
		c.lock(&s.mu)
		switch {
		case d.table.lock.isPoisoned() || d.table.state.Load() != present:
			c.unlock()
			return false
		case d.table.lock.locked(): // by a long write
			c.unlock()
			d.store.crowd.add(d, d.store.now.Load()+crowdRetry)
			return false
		case s.retired:
			c.unlock()
			continue
		}
		d.takeVictims(c, s, o, min((n+len(dir.shards)-1)/len(dir.shards), maxForgotten), spare)
		done := len(c.victims) > 0
		if done {
			d.forget(c, Evicted, true)
		}
		c.unlock()
		if done {
			return true
		}
	}
}

// takeVictims adds up to n entries of a locked shard to the call's victims, as the policy says.
func (d *Dict) takeVictims(c *Call, s *shard, o *Options, n int, spare uint64) {
	if o.InForce() != NearestDeadline {
		s.takeUnused(c, n, math.MaxInt, spare)
		return
	}
	for len(c.victims) < n {
		v := victim{s, s.soonest(spare)}
		if v.num < 0 {
			return
		}
		if last := len(c.victims) - 1; last < 0 || c.victims[last] != v { // an entry may have two equal items
			c.victims = append(c.victims, v)
		}
	}
}
