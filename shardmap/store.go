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

// Store is a set of named tables with one clock. All methods may be called from any goroutine.
type Store struct {
	// constant after NewStore
	seed          uint64 // of the hash of keys
	minSplit      int    // see the constants
	minSplitBytes int

	clock    atomic.Uint64            // the last LSN drawn
	poisoned atomic.Int64             // how many tables are
	views    atomic.Pointer[viewList] // written under viewsMu
	viewsMu  sync.Mutex

	// tables is read without a lock. A name leads to its table only if the table bears the name.
	// Another map takes its place when all tables are replaced.
	tables   atomic.Pointer[tableMap]
	mu       sync.Mutex // makes creations, drops, renames and replacements one after another
	list     *tableList // guarded by mu
	listings listings   // guarded by mu

	adopting tableLock // shut to creations while tables are adopted

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
	return s
}

// OnPanic has f called when memory is given back in the background, and that panics: what is left
// of it stays in use, and all else goes on. Before, such a panic ends the process.
func (s *Store) OnPanic(f func(p any)) { s.slabs.OnPanic(f) }

// Lookup returns the table that bears name. It does not allocate and keeps no part of name.
//
// Calls of c on that table answer ErrNoTable once the table bears another name, until c looks up a
// table again.
func (s *Store) Lookup(c *Call, name []byte) (*Table, bool) {
	if t := c.foundTable; t != nil && t.store == s && string(name) == *c.foundName && t.checkName(c) == nil {
		return t, true // the table of the call before, which most requests ask for again
	}
	t, bears := s.lookup(unsafe.String(unsafe.SliceData(name), len(name)))
	c.foundTable, c.foundName = t, bears
	return t, t != nil
}

// lookup returns the table that bears name, nil if none does, and the table's own copy of the name.
func (s *Store) lookup(name string) (t *Table, bears *string) {
	t, ok := s.tables.Load().Load(name)
	if !ok || t.state.Load() == dropped {
		return nil, nil
	}
	if bears = t.name.Load(); *bears != name {
		return nil, nil
	}
	return t, bears
}

// Create makes a table and fills it with packed: n values for a list, n pairs of key and value for
// a dict, encoded back to back.
//
// Errors: ErrTableExists; ErrLong for an inline call with more than InlineElements, or while tables
// are adopted; *value.Error TypeError for a key that is not hashable. Call.Version is the last LSN
// drawn: one for the table, then one for each element.
func (s *Store) Create(c *Call, name string, kind Kind, packed []byte, n int) (*Table, error) {
	if n > InlineElements && !c.MayBlock {
		return nil, ErrLong
	}
	defer c.trim()
	t := newTable(s, name, kind)
	length := n
	switch kind {
	case KindDict:
		if err := t.dict.readPairs(c, packed, n); err != nil {
			return nil, err
		}
		length = c.countDistinct(packed)
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
	// Whoever finds the table meets its gate until it is full.
	if t.dict != nil {
		t.dict.fill(c, packed, first+1)
	} else {
		t.list.fill(c, packed, n, first+1)
	}
	t.filling.Store(0)
	c.Version = first + uint64(n)
	c.complete()
	return t, nil
}

// addTable gives a table, whose gate the caller owns by h, its name, and draws k numbers for it. length
// is what it will have. Errors: ErrTableExists, ErrLong.
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
	first, _ = h.assign(c, t, k)
	t.createdLSN = first
	t.filling.Store(int64(length))
	s.nameLocked(name, t, first)
	return first, nil
}

// lockToCreate takes mu, once no tables are adopted. Errors: ErrLong for an inline call that would
// wait for that.
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

// reserveName has a table bear its name, spoiled or to be so, after a panic behind the number of a
// request that gives a table this name. The request is recorded, and may give the name when it is
// made again: until a drop that is recorded too nobody else may be given it. One that is made again
// is left out if it panics. The caller holds Store.mu.
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

// Drop deletes a table, a spoiled one too. Errors: ErrNoTable; ErrBusy if a long write owns it.
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
	return nil
}

// Rename gives a table another name. Errors: ErrNoTable, ErrTableExists, ErrPoisoned; ErrBusy if a
// long write owns the table.
//
// It holds all locks of the table: calls that found it by its old name come before it, or do
// nothing (see Lookup).
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
		for _, name := range []string{from, to} { // a panic: t may bear either
			closed := newTable(s, name, t.kind)
			c.reserveName(closed)
			closed.poison()
		}
	}()
	n, vs := s.assign(c, t, 1)
	vs.handoverName(t, n)
	s.nameLocked(to, t, n)
	t.name.Store(&to) // from here on lookup finds it by its new name, and by that only
	s.unnameLocked(from, t)
	c.Version = n
	c.complete()
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

// handoverName tells the views of the store that t bears another name, or none, from the mutation n on.
// The caller holds Store.mu.
func (vs *viewList) handoverName(t *Table, n uint64) {
	for _, c := range vs.cuts {
		if c.table != nil || c.number > n || c.number < t.namedLSN {
			continue
		}
		c.mu.Lock()
		if !c.closed {
			c.names = append(c.names, namedTable{t.Name(), t, t.namedLSN})
		}
		c.mu.Unlock()
	}
}

// Clock returns the last LSN drawn, 0 if none was.
func (s *Store) Clock() uint64 { return s.clock.Load() }

// SetClock makes lsn, which is at most MaxLSN, the last LSN drawn. It is for whoever restores or
// replays: nobody else may use the store meanwhile, no view may be open, and the numbers only go
// up.
func (s *Store) SetClock(lsn uint64) {
	if last := s.clock.Swap(lsn); last > lsn {
		panic(fmt.Sprintf("the clock is set back from %d to %d", last, lsn))
	}
}

// Stats are figures about a store, each read at its own moment.
type Stats struct {
	Tables        int
	Poisoned      int    // of these, left half changed by a defect: see Call.Release
	Views         int    // open views
	Clock         uint64 // the last LSN drawn
	SlabBytes     int    // mapped outside the Go heap for records, pages and indexes, resident or not
	SlabFreeBytes int    // of these, in no use
	RetiredBytes  int    // of these, kept for open views only
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
