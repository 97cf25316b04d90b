package shardmap

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/puzpuzpuz/xsync/v3"

	"cyberdb-fast/shardmap/slab"
)

// Store is a set of named tables with one clock. It is safe for concurrent use.
type Store struct {
	// constant after NewStore
	seed          uint64 // of the keys' hash
	minSplit      int    // see the constant of this name
	minSplitBytes int

	clock    atomic.Uint64            // the last LSN assigned
	poisoned atomic.Int64             // the number of poisoned tables
	views    atomic.Pointer[viewList] // written under viewsMu
	viewsMu  sync.Mutex

	// tables is read without a lock. An entry counts only while the table has that name. Replacing
	// all tables replaces the map.
	tables   atomic.Pointer[tableMap]
	mu       sync.Mutex // serializes creations, drops, renames and replacements
	list     *tableList // guarded by mu
	listings listings   // guarded by mu

	// adopting is locked while tables are adopted, which keeps creations out.
	adopting tableLock // shut to creations while tables are adopted

	now     atomic.Int64 // see SetNow
	behind  atomic.Bool  // see Behind
	marking atomic.Bool  // changes are made whose times are to be noted
	due     dueQueue     // what expires, and the lists in which held items return
	marks   marks        // how old versions are
	crowd   crowd        // what is above its limit
	aging   []*Dict      // dicts that the sweep has not looked at yet in its present round; owned by Sweep

	noDeadLetters func(table, deadLetters string) // see OnNoDeadLetters; constant

	pressure pressure // what may be evicted for lack of memory

	slabs     *slab.Allocator
	reclaimer reclaimer
}

// NewStore returns an empty store.
func NewStore() *Store {
	s := &Store{
		seed:          rand.Uint64(),
		minSplit:      minSplit,
		minSplitBytes: minSplitBytes,
		slabs:         slab.New(),
		list:          newTableList(),
	}
	s.tables.Store(xsync.NewMapOf[string, *Table]())
	s.views.Store(&viewList{})
	s.due.aging = make(map[*Dict]bool)
	return s
}

// OnPanic sets f to be called when freeing memory in the background panics. The memory stays
// allocated, and the store continues. Without OnPanic, such after a panic ends the process.
func (s *Store) OnPanic(f func(p any)) { s.slabs.OnPanic(f) }

// Lookup returns the table with a name. It does not allocate and does not retain name.
//
// Later calls of c on that table return ErrNoTable once the table has another name, until c looks
// up a table again.
func (s *Store) Lookup(c *Call, name []byte) (*Table, bool) {
	if t := c.foundTable; t != nil && t.store == s && string(name) == *c.foundName && t.checkName(c) == nil {
		return t, true // most requests use the table of the request before
	}
	t, ownName := s.lookup(unsafe.String(unsafe.SliceData(name), len(name)))
	c.foundTable, c.foundName = t, ownName
	return t, t != nil
}

// lookup returns the table with a name and the table's own copy of the name, or nil if there is
// none.
func (s *Store) lookup(name string) (t *Table, ownName *string) {
	t, ok := s.tables.Load().Load(name)
	if !ok || t.state.Load() == dropped {
		return nil, nil
	}
	if ownName = t.name.Load(); *ownName != name {
		return nil, nil
	}
	return t, ownName
}

// Create creates a table and fills it with packed: n values for a list, n pairs of key and value
// for a dict, encoded back to back.
//
// Errors: ErrTableExists; ErrLong for an inline call with more than InlineElements, or while tables
// are adopted; *value.Error TypeError for a key that is not hashable. Call.Version is the last LSN
// assigned: the table takes one, then each element.
func (s *Store) Create(c *Call, name string, kind Kind, packed []byte, n int) (*Table, error) {
	t, err := s.create(c, name, kind, packed, n)
	if err == nil && c.crowded {
		t.dict.trimNow(c)
	}
	return t, err
}

func (s *Store) create(c *Call, name string, kind Kind, packed []byte, n int) (*Table, error) {
	if n > InlineElements && !c.MayBlock {
		return nil, ErrLong
	}
	defer c.trim()
	t := newTable(s, name, kind)
	length := n
	switch kind {
	case KindDict, KindLocks:
		if err := t.dict.readPairs(c, packed, n); err != nil {
			return nil, err
		}
		length = c.countDistinct(packed)
		if err := c.Options.fitsEmpty(c, length, len(packed)); err != nil {
			return nil, err
		}
	case KindList:
	default:
		return nil, ErrKind
	}
	h := t.lock.acquire()
	defer t.unlock(c, h)
	first, err := s.addTable(c, t, h, name, uint64(n)+1, length)
	if err != nil {
		return nil, err
	}
	// Other calls find the table locked until it is filled.
	if t.dict != nil {
		t.dict.fill(c, packed, first+1)
	} else {
		t.list.fill(c, packed, n, first)
	}
	t.filling.Store(0)
	c.Version = first + uint64(n)
	c.complete()
	return t, nil
}

// addTable adds a table to the store, whose lock the caller owns by h, and assigns k LSNs to it.
// length is its length once it is filled. Errors: ErrTableExists, ErrLong.
func (s *Store) addTable(c *Call, t *Table, h *lockOwner, name string, k uint64, length int) (first uint64, err error) {
	if err := s.lockToCreate(c); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	if other, _ := s.lookup(name); other != nil {
		return 0, ErrTableExists
	}
	defer func() {
		if first == 0 { // a panic
			c.reserveName(t)
		}
	}()
	if t.dict != nil {
		t.dict.setOptions(c.Options)
	}
	first, _ = h.assign(c, t, k)
	t.createdLSN = first
	t.filling.Store(int64(length))
	s.nameLocked(name, t, first)
	return first, nil
}

// lockToCreate locks mu while no tables are adopted. Errors: ErrLong for an inline call that would
// have to wait.
func (s *Store) lockToCreate(c *Call) error {
	for {
		s.mu.Lock()
		if !s.adopting.locked() {
			return nil
		}
		s.mu.Unlock()
		if !c.MayBlock {
			return ErrLong
		}
		if err := s.adopting.waitOrBusy(c); err != nil {
			return err
		}
	}
}

// reserveName keeps a name taken, by a poisoned table, after a CREATE or RENAME panicked once its
// LSN was logged. Replay may still apply that request, so no other table may get the name before a
// logged DROP. A replayed request that panics is skipped and reserves nothing. The caller holds
// Store.mu.
func (c *Call) reserveName(t *Table) {
	if c.changing == nil || c.Replay {
		return
	}
	if other, _ := t.store.lookup(t.Name()); other != nil {
		return
	}
	t.createdLSN = t.store.Clock()
	t.store.nameLocked(t.Name(), t, t.createdLSN)
}

// Drop deletes a table, even a poisoned one. Errors: ErrNoTable; ErrBusy if a long write owns it.
func (s *Store) Drop(c *Call, name string) (err error) {
	c.Version = 0
	s.mu.Lock()
	defer s.mu.Unlock()
	t, _ := s.lookup(name)
	if t == nil {
		return ErrNoTable
	}
	var vs *viewList
	free := func() {}
	if t.dict != nil {
		vs, free, err = t.dict.drop(c)
	} else {
		vs, err = t.list.drop(c)
	}
	if err != nil {
		return err
	}
	vs.handoverName(t, c.Version)
	s.unnameLocked(name, t)
	if t.lock.isPoisoned() {
		s.poisoned.Add(-1)
	}
	free()
	t.ends.changed()
	return nil
}

// Rename changes the name of a table. Errors: ErrNoTable, ErrTableExists, ErrPoisoned; ErrBusy if a
// long write owns the table.
//
// It holds all locks of the table. Calls that found the table by its old name come before the
// rename, or do nothing (see Lookup).
func (s *Store) Rename(c *Call, from, to string) error {
	c.Version = 0
	s.mu.Lock()
	defer s.mu.Unlock()
	t, _ := s.lookup(from)
	if t == nil {
		return ErrNoTable
	}
	if other, _ := s.lookup(to); other != nil {
		return ErrTableExists
	}
	if !brokenRename {
		if err := t.lockWhole(c); err != nil {
			return err
		}
		if t.lock.isPoisoned() {
			t.unlockWhole(c)
			return ErrPoisoned
		}
	}
	defer func() {
		if c.changing == nil {
			return
		}
		for _, name := range []string{from, to} { // after a panic, t may have either
			closed := newTable(s, name, t.kind)
			c.reserveName(closed)
			closed.poison()
		}
	}()
	n, vs := s.assign(c, t, 1)
	vs.handoverName(t, n)
	s.nameLocked(to, t, n)
	t.name.Store(&to) // from here on lookup finds it only by its new name
	s.unnameLocked(from, t)
	c.Version = n
	c.complete()
	t.ends.changed()
	if !brokenRename {
		t.unlockWhole(c)
	}
	return nil
}

// lockWhole takes all locks of the table. Errors: ErrNoTable; ErrBusy if a long write owns the
// table.
func (t *Table) lockWhole(c *Call) error {
	if t.dict != nil {
		return t.dict.lockWhole(c)
	}
	return t.list.lockWhole(c)
}

func (t *Table) unlockWhole(c *Call) {
	if t.dict != nil {
		c.unlockShards()
	} else {
		c.unlock()
	}
}

// handoverName hands the name and table over to the store's views: from LSN n on, t has another
// name or none. The caller holds Store.mu.
func (vs *viewList) handoverName(t *Table, n uint64) {
	for _, c := range vs.cuts {
		if c.table != nil || c.lsn >= n || c.lsn < t.namedLSN {
			continue
		}
		c.mu.Lock()
		if !c.closed {
			c.names = append(c.names, namedTable{t.Name(), t, t.namedLSN})
		}
		c.mu.Unlock()
	}
}

// Clock returns the last LSN assigned, 0 if there is none.
func (s *Store) Clock() uint64 { return s.clock.Load() }

// SetClock sets the last LSN assigned to lsn, which is at most MaxLSN. It is for restore and
// replay: no other call may use the store meanwhile, no view may be open, and the clock must not go
// back.
func (s *Store) SetClock(lsn uint64) {
	if last := s.clock.Swap(lsn); last > lsn {
		panic(fmt.Sprintf("clock set back from %d to %d", last, lsn))
	}
}

// Stats are figures about a store, each read at its own instant.
type Stats struct {
	Tables        int
	Poisoned      int    // of these, in an unknown state after a panic: see Call.Release
	Views         int    // open views
	Clock         uint64 // the last LSN assigned
	SlabBytes     int    // mapped outside the Go heap for records, pages and indexes, resident or not
	SlabFreeBytes int    // of these, unused
	RetiredBytes  int    // of these, retained only for open views
}

// Stats returns figures about the store.
func (s *Store) Stats() Stats {
	mapped, free := s.slabs.Bytes()
	return Stats{
		Tables:        s.Len(),
		Poisoned:      int(s.poisoned.Load()),
		Views:         len(s.views.Load().cuts),
		Clock:         s.Clock(),
		SlabBytes:     mapped,
		SlabFreeBytes: free,
		RetiredBytes:  s.reclaimer.retainedBytes(),
	}
}
