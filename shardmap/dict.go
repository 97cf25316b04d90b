package shardmap

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"cyberdb-fast/codec/value"
)

// Dict is a Python dict. Keys and values are checked encodings; keys compare as in Python; the
// order is that of insertion.
//
// Results are appended to dst, which must not overlap the arguments. Call.HasIf applies to the
// methods that act on one key.
type Dict struct {
	// constant
	table *Table
	store *Store

	dir  atomic.Pointer[directory] // written under mu
	mu   sync.Mutex
	size atomic.Int64 // live entries; written under the locks of the change

	bytes atomic.Int64 // of the records of live entries; written likewise

	options atomic.Pointer[Options] // written under the locks of all shards
	since   atomic.Int64            // see Settings; written as options are
	// horizon is an LSN: entries without a deadline whose version is not above it have expired. It
	// is moved by a logged effect. Written under the locks of all shards.
	horizon  atomic.Uint64
	shown    atomic.Uint64 // the same, as of now: the horizon follows
	moves    atomic.Int64  // shown is right before this time
	volatile atomic.Bool   // an entry has, or had, a deadline
	// settingsAt is the LSN of the last view that needs no more settings handed over. Guarded by
	// the locks of all shards.
	settingsAt uint64

	removed [reasons]atomic.Uint64 // entries that the store removed by itself
	refused atomic.Uint64          // changes for which there was no room
	trimmed atomic.Uint32          // where in the directory Dict.trim was
}

func newDict(t *Table) *Dict {
	d := &Dict{table: t, store: t.store}
	d.options.Store(&Options{})
	d.dir.Store(newDirectory(newShard(t, 0, 0, 0)))
	return d
}

// Len returns the number of entries.
func (d *Dict) Len() int { return int(d.size.Load()) }

// key is a key prepared for a lookup.
type key struct {
	hash      uint64
	canonical []byte
	original  []byte // the key as given; nil if that is the canonical one
	block     []byte // the whole record, if it is large and about to be written
	deadline  int64  // of the record that is written; 0: as the table says; Forever
	reserved  bool   // the entry is in Dict.size already
	keeps     bool   // the entry's deadline, if there is an entry
}

// resolve prepares a key in k, which is zero. The key uses the Call's buffer, so it is valid until
// the next resolve.
func (d *Dict) resolve(c *Call, given []byte, k *key) error {
	canonical, unequal, err := value.Key(given, c.key[:0])
	if err != nil {
		return err
	}
	if unequal {
		canonical = unequalKey(c.key[:0], rand.Uint64())
	}
	k.hash, k.canonical = d.store.hashOf(canonical), canonical
	if &canonical[0] != &given[0] {
		c.key = canonical
		if string(canonical) != string(given) {
			k.original = given
		}
	}
	if c.TTL != DefaultTTL {
		k.deadline, k.keeps = c.lifetime()
	}
	return nil
}

// lock locks the shard of a hash and returns it. It waits until the call may use the table, and
// skips retired shards.
func (d *Dict) lock(c *Call, hash uint64) (*shard, error) {
	for {
		s := d.dir.Load().shard(hash)
		c.lock(&s.mu)
		if !s.retired && !d.table.unavailable(c) {
			return s, nil
		}
		c.unlock()
		if err := d.waitOrBusy(c); err != nil {
			return nil, err
		}
	}
}

// waitOrBusy decides what a call does that met a retired shard or an unavailable table. After nil
// the call tries again.
func (d *Dict) waitOrBusy(c *Call) error {
	if err := d.table.checkName(c); err != nil {
		return err
	}
	if d.table.lock.locked() {
		return d.table.lock.waitOrBusy(c)
	}
	return nil
}

// lockKey resolves a key and locks its shard. num is the key's entry, -1 if the key is absent. A
// change removes an entry that has expired; other calls leave it.
//
// Errors: ErrVersion if the entry's version is not Call.IfVersion.
func (d *Dict) lockKey(c *Call, given []byte, k *key, changes bool) (s *shard, num int, err error) {
	if err = d.resolve(c, given, k); err != nil {
		return nil, 0, err
	}
	return d.lockResolved(c, k, changes)
}

// lockResolved is lockKey for a resolved key.
func (d *Dict) lockResolved(c *Call, k *key, changes bool) (s *shard, num int, err error) {
	c.Version = 0
	if s, err = d.lock(c, k.hash); err != nil {
		return nil, 0, err
	}
	num = s.find(k.hash, k.canonical)
	if num >= 0 && s.mayExpire(num) && s.expired(c, num) {
		if changes {
			d.forgetOne(c, s, num)
		}
		num = -1
	}
	if num >= 0 {
		s.touch(num)
		c.Version = s.entry(num).version()
	}
	if c.HasIf && !c.hasVersion() {
		c.unlock()
		return nil, 0, ErrVersion
	}
	return s, num, nil
}

// hasVersion reports whether Call.Version, of the entry that was found, is what Call.IfVersion asks
// for.
func (c *Call) hasVersion() bool {
	return c.Version == c.IfVersion || c.IfVersion == AnyVersion && c.Version != 0
}

// Get appends the value of key. Errors: ErrNoKey; ErrLong for an inline call if the value is larger
// than InlineBytes.
func (d *Dict) Get(c *Call, dst, given []byte) ([]byte, error) {
	var k key
	s, num, err := d.lockKey(c, given, &k, false)
	if err != nil {
		return dst, err
	}
	if num < 0 {
		c.unlock()
		return dst, ErrNoKey
	}
	return d.readLocked(c, s, dst, num)
}

// readLocked appends the value of entry num and unlocks s.
func (d *Dict) readLocked(c *Call, s *shard, dst []byte, num int) ([]byte, error) {
	switch {
	case !s.isLarge(num):
		dst = append(dst, s.value(num)...)
		c.unlock()
	case !c.MayBlock:
		c.unlock()
		return dst, ErrLong
	default:
		v := d.pin(c, nil, s.value(num))
		c.unlock()
		dst = v.appendTo(c, dst)
	}
	return dst, nil
}

// Contains reports whether the dict has key.
func (d *Dict) Contains(c *Call, given []byte) (bool, error) {
	var k key
	_, num, err := d.lockKey(c, given, &k, false)
	if err != nil {
		return false, err
	}
	c.unlock()
	return num >= 0, nil
}

// value returns the value of entry num.
func (c *contents) value(num int) []byte {
	_, val := c.pair(c.entry(num))
	return val
}

// Set stores val under key. Overwriting keeps the key's place and the key as first written.
func (d *Dict) Set(c *Call, given, val []byte) error {
	var k key
	if err := d.resolve(c, given, &k); err != nil {
		return err
	}
	d.buildBlock(&k, val)
	s, num, err := d.lockResolved(c, &k, true)
	if err == nil {
		err = d.setLocked(c, s, &k, num, val)
	}
	d.freeBlock(&k)
	return err
}

// setLocked stores val and unlocks s. Errors: ErrFull; ErrLong for an inline call that would have
// to evict very many entries.
func (d *Dict) setLocked(c *Call, s *shard, k *key, num int, val []byte) error {
	if k.keeps && num >= 0 {
		k.deadline = s.deadline(num)
	}
	if d.table.limited {
		if err := d.makeRoom(c, s, k, num, val); err != nil {
			c.unlock()
			return err
		}
	}
	w := d.table.begin(c, 1)
	c.Version = w.first
	if num >= 0 {
		s.overwrite(&w, k, num, val, w.first)
	} else {
		s.insert(&w, k, val, w.first)
		if !k.reserved {
			d.size.Add(1)
		}
	}
	s.countBytes()
	d.splitOrCompact(c, &w, s)
	c.complete()
	c.unlock()
	if c.crowded {
		d.trimNow(c)
	}
	return nil
}

// splitOrCompact splits or compacts a shard after a change, if that is due.
func (d *Dict) splitOrCompact(c *Call, w *write, s *shard) {
	if s.full() {
		d.split(c, w, s)
		c.unlockShards()
		return
	}
	s.compactIfDue(w)
}

// SetDefault appends the value of key. If the key is absent, it stores val first; set reports
// whether it did. Errors: ErrLong as Get.
func (d *Dict) SetDefault(c *Call, dst, given, val []byte) (_ []byte, set bool, err error) {
	var k key
	if err := d.resolve(c, given, &k); err != nil {
		return dst, false, err
	}
	d.buildBlock(&k, val)
	s, num, err := d.lockResolved(c, &k, true)
	switch {
	case err != nil:
	case num >= 0:
		dst, err = d.readLocked(c, s, dst, num)
	default:
		if err = d.setLocked(c, s, &k, num, val); err == nil {
			dst, set = append(dst, val...), true
		}
	}
	d.freeBlock(&k)
	return dst, set, err
}

// Delete removes key. Errors: ErrNoKey.
func (d *Dict) Delete(c *Call, given []byte) error {
	var k key
	s, num, err := d.lockKey(c, given, &k, true)
	if err != nil {
		return err
	}
	if num < 0 {
		c.unlock()
		return ErrNoKey
	}
	d.deleteLocked(c, s, k.hash, num)
	return nil
}

// deleteLocked deletes entry num and unlocks s.
func (d *Dict) deleteLocked(c *Call, s *shard, hash uint64, num int) {
	w := d.table.begin(c, 1)
	c.Version = w.first
	s.remove(&w, hash, num)
	d.size.Add(-1)
	s.countBytes()
	s.compactIfDue(&w)
	c.complete()
	c.unlock()
}

// Pop removes key and appends its value. Errors: ErrNoKey; ErrLong as Get.
func (d *Dict) Pop(c *Call, dst, given []byte) ([]byte, error) {
	var k key
	s, num, err := d.lockKey(c, given, &k, true)
	if err != nil {
		return dst, err
	}
	if num < 0 {
		c.unlock()
		return dst, ErrNoKey
	}
	if !s.isLarge(num) {
		dst = append(dst, s.value(num)...)
		d.deleteLocked(c, s, k.hash, num)
		return dst, nil
	}
	if !c.MayBlock {
		c.unlock()
		return dst, ErrLong
	}
	v := d.pin(c, nil, s.value(num))
	d.deleteLocked(c, s, k.hash, num)
	return v.appendTo(c, dst), nil
}

// zero is the encoding of the int 0.
var zero = []byte{0}

// Increment adds by to the value of key, which counts as 0 if the key is absent, and appends the
// sum. An entry that is there keeps its deadline. Errors: *value.Error if the two cannot be added.
func (d *Dict) Increment(c *Call, dst, given, by []byte) ([]byte, error) {
	var k key
	s, num, err := d.lockKey(c, given, &k, true)
	if err != nil {
		return dst, err
	}
	old := zero
	if num >= 0 {
		k.keeps = true
		_, old = s.pair(s.entry(num))
	}
	sum, err := value.Add(c.number[:0], old, by)
	if err != nil {
		c.unlock()
		return dst, err
	}
	c.number = sum
	if err := d.setLocked(c, s, &k, num, sum); err != nil {
		return dst, err
	}
	return append(dst, sum...), nil
}
