package shardmap

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/puzpuzpuz/xsync/v3"

	"cyberdb-fast/shardmap/slab"
)

// Store is a set of named tables with one clock. All methods may be called from any goroutine.
type Store struct {
	// constant after NewStore
	seed            uint64 // of the hash of keys
	leastSplit      int    // see the constants
	leastSplitBytes int

	clock   atomic.Uint64            // the last LSN drawn
	views   atomic.Pointer[viewList] // written under viewsMu
	viewsMu sync.Mutex

	// tables is read without a lock. A name leads to its table only if the table bears the name.
	tables *xsync.MapOf[string, *Table]
	mu     sync.Mutex // makes creations, drops and renames one after another

	slabs     *slab.Allocator
	graveyard graveyard
}

// NewStore returns an empty store.
func NewStore() *Store {
	s := &Store{seed: rand.Uint64(), leastSplit: leastSplit, leastSplitBytes: leastSplitBytes, tables: xsync.NewMapOf[string, *Table](), slabs: slab.New()}
	s.views.Store(&viewList{})
	return s
}

// Lookup returns the table that bears name. It does not allocate and keeps no part of name.
func (s *Store) Lookup(name []byte) (*Table, bool) {
	return s.lookup(unsafe.String(unsafe.SliceData(name), len(name)))
}

func (s *Store) lookup(name string) (*Table, bool) {
	t, ok := s.tables.Load(name)
	if !ok || t.dropped.Load() || t.Name() != name {
		return nil, false
	}
	return t, true
}

// Create makes a table and fills it with packed: n values for a list, n pairs of key and value for a dict, encoded back to back.
//
// Errors: ErrTableExists; ErrLong for an inline call with more than InlineElements; *value.Error TypeError for a key that is not hashable.
// Call.Version is the last LSN drawn: one for the table, then one for each element.
func (s *Store) Create(c *Call, name string, kind Kind, packed []byte, n int) (*Table, error) {
	if n > InlineElements && !c.Beside {
		return nil, ErrLong
	}
	defer c.trim()
	t := &Table{store: s, kind: kind}
	t.name.Store(&name)
	length := n
	switch kind {
	case KindDict:
		t.dict = newDict(t)
		if err := t.dict.plan(c, packed, n); err != nil {
			return nil, err
		}
		length = c.distinct(packed)
	case KindList:
		t.list = newList(s, t)
	default:
		return nil, ErrKind
	}
	h := t.gate.enter()
	defer t.gate.leave(h)

	s.mu.Lock()
	if _, ok := s.lookup(name); ok {
		s.mu.Unlock()
		return nil, ErrTableExists
	}
	first, _ := h.draw(s, uint64(n)+1)
	t.born, t.named = first, first
	t.filling.Store(int64(length))
	s.tables.Store(name, t)
	s.mu.Unlock()

	// Whoever finds the table meets its gate until it is full.
	if t.dict != nil {
		t.dict.fill(c, packed, first+1)
	} else {
		t.list.fill(packed, n, first+1)
	}
	t.filling.Store(0)
	c.Version = first + uint64(n)
	return t, nil
}

// Drop deletes a table. Errors: ErrNoTable; ErrBusy if a long write owns it.
func (s *Store) Drop(name string) error {
	_, err := s.drop(name)
	return err
}

func (s *Store) drop(name string) (lsn uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.lookup(name)
	if !ok {
		return 0, ErrNoTable
	}
	var vs *viewList
	if t.dict != nil {
		lsn, vs, err = t.dict.drop()
	} else {
		lsn, vs, err = t.list.drop()
	}
	if err != nil {
		return 0, err
	}
	vs.handName(t, lsn)
	s.tables.Delete(name)
	return lsn, nil
}

// Rename gives a table another name. Errors: ErrNoTable, ErrTableExists.
func (s *Store) Rename(from, to string) error {
	_, err := s.rename(from, to)
	return err
}

func (s *Store) rename(from, to string) (lsn uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.lookup(from)
	if !ok {
		return 0, ErrNoTable
	}
	if _, ok := s.lookup(to); ok {
		return 0, ErrTableExists
	}
	n, vs := s.draw(1)
	vs.handName(t, n)
	s.tables.Store(to, t)
	t.named = n
	t.name.Store(&to) // from here on lookup finds it by its new name, and by that only
	s.tables.Delete(from)
	return n, nil
}

// handName tells the views of the store that t bears another name, or none, from the mutation n on. The caller holds Store.mu.
func (vs *viewList) handName(t *Table, n uint64) {
	for _, c := range vs.cuts {
		if c.table != nil || c.number > n || c.number < t.named {
			continue
		}
		c.mu.Lock()
		if !c.closed {
			c.names = append(c.names, namedTable{t.Name(), t})
		}
		c.mu.Unlock()
	}
}

// Tables yields name, kind and length of each table, in order of creation. The names are those of one moment; each length is read when it is yielded.
func (s *Store) Tables(yield func(name string, kind Kind, length int) bool) {
	s.mu.Lock()
	tables := s.namedLocked()
	s.mu.Unlock()
	for _, t := range tables {
		if !yield(t.name, t.table.kind, t.table.Len()) {
			return
		}
	}
}

// namedLocked returns all tables, in order of creation. The caller holds mu.
func (s *Store) namedLocked() []namedTable {
	tables := make([]namedTable, 0, s.tables.Size())
	s.tables.Range(func(name string, t *Table) bool {
		tables = append(tables, namedTable{name, t})
		return true
	})
	sortTables(tables)
	return tables
}

func sortTables(tables []namedTable) {
	slices.SortFunc(tables, func(a, b namedTable) int { return cmp.Compare(a.table.born, b.table.born) })
}

// Len returns how many tables there are.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tables.Size()
}

// Clock returns the last LSN drawn, 0 if none was.
func (s *Store) Clock() uint64 { return s.clock.Load() }

// Stats are figures about a store, each read at its own moment.
type Stats struct {
	Tables         int
	Views          int    // open views
	Clock          uint64 // the last LSN drawn
	SlabBytes      int    // mapped outside the Go heap for records, pages and indexes, resident or not
	SlabFreeBytes  int    // of these, in no use
	GraveyardBytes int    // of these, kept for open views only
}

// Stats returns figures about the store.
func (s *Store) Stats() Stats {
	mapped, free := s.slabs.Bytes()
	return Stats{
		Tables:         s.Len(),
		Views:          len(s.views.Load().cuts),
		Clock:          s.Clock(),
		SlabBytes:      mapped,
		SlabFreeBytes:  free,
		GraveyardBytes: s.graveyard.size(),
	}
}
