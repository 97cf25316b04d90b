package shardmap

import (
	"fmt"
	"slices"

	"cyberdb-fast/codec/value"
)

// What the store removes by itself, it removes by an effect that is logged: it names the entries by
// insertion and version, so that a replay removes the same ones, whatever its time is.

// Reason says why an entry was removed. Stored in journals: do not change.
type Reason uint8

// The reasons.
const (
	Expired Reason = iota // its deadline, or its table's default, has passed
	Idle                  // it was not used for long
	Evicted               // its table, or the store, was full
	reasons
)

// Forgotten names an entry that is removed. An entry with another version stays.
type Forgotten struct {
	Place   uint64 // LSN of the insertion
	Version uint64
	Key     []byte // as first written; nil: it equals nothing, and the place finds the entry
}

// Effects encodes effects for a Log: requests that do the same when they are replayed.
type Effects interface {
	// Forget appends the request that removes entries of a table.
	Forget(dst []byte, table string, reason Reason, entries []Forgotten) []byte
	// Horizon appends the request that moves the horizon of a table.
	Horizon(dst []byte, table string, lsn uint64) []byte
	// Return appends the request that returns held items of a list: to the list of the dead
	// letters, or if that is "", to where they belong.
	Return(dst []byte, table, deadLetters string, items []Returned) []byte
	// CreateList appends the request that creates an empty list.
	CreateList(dst []byte, table string) []byte
}

// maxForgotten is the most entries that are removed in one critical section.
const maxForgotten = 128

// victim is an entry of a locked shard.
type victim struct {
	shard *shard
	num   int
}

// beginEffect is Table.begin for an effect, whose encoding is in Call.effect.
func (t *Table) beginEffect(c *Call) write {
	request := c.Request
	c.Request = c.effect
	w := t.begin(c, 1)
	c.Request = request
	if len(c.effect) > KeptRequestBytes {
		c.effect = nil // the log may have kept it
	}
	return w
}

// forgetOne removes an expired entry. The shard is locked.
func (d *Dict) forgetOne(c *Call, s *shard, num int) {
	c.victims = append(c.victims[:0], victim{s, num})
	d.forget(c, d.reasonOf(s, num), false)
}

// reasonOf says why an entry that has expired is removed. The shard is locked.
func (d *Dict) reasonOf(s *shard, num int) Reason {
	if s.idle(num, d.store.now.Load()) {
		return Idle
	}
	return Expired
}

// forgetNext adds an expired entry to the call's victims, which go for one reason. If it goes for
// another, or the victims are many, they are removed first. It returns its reason.
func (d *Dict) forgetNext(c *Call, v victim, before Reason) Reason {
	reason := d.reasonOf(v.shard, v.num)
	if len(c.victims) == maxForgotten || len(c.victims) > 0 && reason != before {
		d.forget(c, before, false)
	}
	if !slices.Contains(c.victims, v) {
		c.victims = append(c.victims, v)
	}
	return reason
}

// forget removes the victims of the call, whose shards are locked. Unless it compacts these shards,
// the numbers of other entries stay valid.
func (d *Dict) forget(c *Call, reason Reason, compact bool) {
	if c.effect = c.effect[:0]; c.Effects != nil && c.Log != nil {
		c.forgotten = c.forgotten[:0]
		for _, v := range c.victims {
			c.forgotten = append(c.forgotten, v.shard.forgotten(v.num))
		}
		c.effect = c.Effects.Forget(c.effect, d.table.Name(), reason, c.forgotten)
		clear(c.forgotten)
	}
	w := d.table.beginEffect(c)
	for _, v := range c.victims {
		v.shard.remove(&w, d.store.hashOf(v.shard.canonical(v.shard.entry(v.num))), v.num)
	}
	d.size.Add(-int64(len(c.victims)))
	d.removed[reason].Add(uint64(len(c.victims)))
	for _, v := range c.victims {
		v.shard.countBytes()
	}
	for i := 0; compact && i < len(c.victims); i++ {
		c.victims[i].shard.compactIfDue(&w)
	}
	c.complete()
	clear(c.victims)
	c.victims = c.victims[:0]
}

// forgetBatch removes the entries of the batch that have expired. The shards are locked.
func (d *Dict) forgetBatch(c *Call, packed []byte) {
	if !d.volatile.Load() {
		return
	}
	reason := Expired
	for i := range c.batch {
		item := &c.batch[i]
		s, k := d.dir.Load().shard(item.hash), c.keyOf(packed, item)
		if num := s.find(k.hash, k.canonical); num >= 0 && s.expired(c, num) {
			reason = d.forgetNext(c, victim{s, num}, reason)
		}
	}
	if len(c.victims) > 0 {
		d.forget(c, reason, false)
	}
}

// forgetBatchOwned is forgetBatch for the owner of the table lock, who locks one shard at a time.
func (d *Dict) forgetBatchOwned(c *Call, packed []byte) {
	if !d.volatile.Load() {
		return
	}
	for i := range c.batch {
		item := &c.batch[i]
		s, k := d.dir.Load().shard(item.hash), c.keyOf(packed, item)
		c.lock(&s.mu)
		if num := s.find(k.hash, k.canonical); num >= 0 && s.expired(c, num) {
			d.forgetOne(c, s, num)
		}
		c.unlock()
	}
}

// forgotten names entry num.
func (s *shard) forgotten(num int) Forgotten {
	e := s.entry(num)
	key, _ := s.pair(e)
	if isUnequal(s.canonical(e)) {
		key = nil
	}
	return Forgotten{s.place(num), e.version(), key}
}

// Forget removes entries, as a replayed effect. It leaves entries that have another version.
func (d *Dict) Forget(c *Call, reason Reason, entries []Forgotten) error {
	c.Version = 0
	if reason >= reasons {
		return &value.Error{Kind: value.ValueError, Msg: fmt.Sprintf("there is no reason %d", reason)}
	}
	if err := d.lockForgotten(c, entries); err != nil {
		return err
	}
	c.victims = c.victims[:0]
	for i := range entries {
		if v := d.findForgotten(c, i, &entries[i]); v.shard != nil && !slices.Contains(c.victims, v) {
			c.victims = append(c.victims, v)
		}
	}
	if len(c.victims) > 0 {
		d.forget(c, reason, true)
	}
	c.unlockShards()
	return nil
}

// lockForgotten locks the shards in which entries may be, after it has put the keys of the entries
// into the call's batch.
func (d *Dict) lockForgotten(c *Call, entries []Forgotten) error {
	c.batch, c.key = c.batch[:0], c.key[:0]
	all := false
	for i := range entries {
		given := entries[i].Key
		if given == nil {
			all = true
			c.batch = append(c.batch, batchItem{})
			continue
		}
		start := len(c.key)
		canonical, unequal, err := value.Key(given, c.key[start:])
		if err != nil {
			return err
		}
		if unequal {
			return &value.Error{Kind: value.TypeError, Msg: "a key that equals nothing is named by its place"}
		}
		c.key = append(c.key[:start], canonical...)
		c.batch = append(c.batch, batchItem{hash: d.store.hashOf(canonical), canonical: uint32(start)})
	}
	if all {
		return d.lockAll(c)
	}
	return d.lockBatch(c)
}

// findForgotten returns where entry i of the batch is; no shard: it is not there.
func (d *Dict) findForgotten(c *Call, i int, f *Forgotten) victim {
	if f.Key == nil {
		return d.findPlace(c, f)
	}
	item := &c.batch[i]
	rest := c.key[item.canonical:]
	s := d.dir.Load().shard(item.hash)
	num := s.find(item.hash, rest[:value.Size(rest)])
	if num < 0 || s.place(num) != f.Place || s.entry(num).version() != f.Version {
		return victim{}
	}
	return victim{s, num}
}

// findPlace returns the entry with a place and a version. All shards are locked.
func (d *Dict) findPlace(c *Call, f *Forgotten) victim {
	for _, s := range c.lockedShards {
		cur := cursor{contents: &s.contents}
		if s.live > 0 && cur.seek(f.Place-1) && cur.place == f.Place && cur.entry().version() == f.Version {
			return victim{s, cur.page<<pageBits | cur.slot}
		}
	}
	return victim{}
}
