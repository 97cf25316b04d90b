package shardmap

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"cyberdb-fast/codec/value"
)

// Restorer fills a table with what it held once, versions and places included. Tables may be
// restored at the same time, each by one goroutine; the entries of one batch are spread over the
// processors.
type Restorer struct {
	// constant
	table  *Table
	name   string
	shares uint // logarithm of how many parts of the hashes are filled at the same time
	slots  int  // of a shard's index, to begin with

	last  uint64 // place of the last entry
	items []restored
}

// restored is an entry on its way into its shard.
type restored struct {
	key
	Entry
}

const (
	// restoredFill is up to what part of leastSplit the shards of a restored dict are filled, so
	// that the first insertions do not split them all.
	restoredFill = 0.85
	// maxRestoredDepth bounds the directory that a dict begins with, whatever length it is said to
	// have. It grows by splits beyond that.
	maxRestoredDepth = 12
	// minParallel is how many entries of a batch are worth spreading over the processors.
	minParallel = 1024
)

// Restore begins a table as it was: created is the LSN of its creation (TableView.Created), length
// how many entries a dict is expected to have. The clock has been set to the last LSN of what is
// restored. Until Done nobody else but other Restorers uses the store, unless it is Adopt or
// Replace that ends all.
//
// Errors: ErrKind; created is not on the clock.
func (s *Store) Restore(name string, kind Kind, created uint64, length int) (*Restorer, error) {
	if created == 0 || created > s.Clock() {
		return nil, fmt.Errorf("table %q was created at %d, the clock is at %d", name, created, s.Clock())
	}
	t := &Table{store: s, kind: kind, createdLSN: created, namedLSN: created}
	t.name.Store(&name)
	r := &Restorer{table: t, name: name}
	switch kind {
	case KindDict:
		t.dict = &Dict{table: t, store: s}
		r.prepare(length)
	case KindList:
		t.list = newList(s, t)
		t.list.filled = true
	default:
		return nil, ErrKind
	}
	return r, nil
}

// prepare gives the dict the shards that length entries need.
func (r *Restorer) prepare(length int) {
	d := r.table.dict
	most := max(int(restoredFill*float64(d.store.minSplit)), 1)
	depth := uint(min(bits.Len(uint(max(length-1, 0)/most)), maxRestoredDepth))
	dir := &directory{depth: depth, shift: 64 - depth, shards: make([]*shard, 1<<depth)}
	for i := range dir.shards {
		dir.shards[i] = newShard(r.table, depth, uint64(i), 0)
	}
	d.dir.Store(dir)
	r.shares = min(depth, uint(bits.Len(uint(runtime.GOMAXPROCS(0)-1))))
	if depth > 0 {
		each := length >> depth
		r.slots = indexSlots(min(each+each/16, most))
	}
}

// Entries puts entries at the end of a dict, in the order of their places. Nothing of them is kept,
// what they hold is copied.
//
// Errors name the entry's place, and end the restoring: bytes that are no checked encoding; a key
// that is not hashable or is there already; a place that is not above the last one; a version below
// the place or not on the clock.
func (r *Restorer) Entries(entries []Entry) error {
	if r.table.kind != KindDict {
		return ErrKind
	}
	for i := range entries {
		e := &entries[i]
		if e.Place <= r.last || e.Version < e.Place || e.Version > r.table.store.Clock() {
			return fmt.Errorf("table %q: entry of place %d and version %d after place %d, the clock is at %d",
				r.name, e.Place, e.Version, r.last, r.table.store.Clock())
		}
		r.last = e.Place
	}
	if cap(r.items) < len(entries) {
		r.items = make([]restored, len(entries))
	}
	r.items = r.items[:len(entries)]
	defer clear(r.items)

	if len(entries) < minParallel || r.shares == 0 {
		if err := r.resolve(entries, r.items); err != nil {
			return err
		}
		return r.insert(0, 0)
	}
	parts := 1 << r.shares
	each := (len(entries) + parts - 1) / parts
	err := inParallel(parts, func(i int) error {
		from, to := min(i*each, len(entries)), min((i+1)*each, len(entries))
		return r.resolve(entries[from:to], r.items[from:to])
	})
	if err != nil {
		return err
	}
	return inParallel(parts, func(i int) error { return r.insert(uint64(i), r.shares) })
}

// inParallel calls f for 0 to n-1 at the same time. A panic in one of them becomes the caller's.
func inParallel(n int, f func(i int) error) error {
	var all sync.WaitGroup
	problems := make([]error, n)
	var panicked atomic.Pointer[string]
	for i := range n {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					what := fmt.Sprintf("%v\n%s", p, debug.Stack())
					panicked.Store(&what)
				}
			}()
			problems[i] = f(i)
		})
	}
	all.Wait()
	if what := panicked.Load(); what != nil {
		panic(*what)
	}
	return errors.Join(problems...)
}

// resolve checks entries and makes their keys ready.
func (r *Restorer) resolve(entries []Entry, items []restored) error {
	for i := range entries {
		e := &entries[i]
		if err := errors.Join(isOneValue(e.Key), isOneValue(e.Val)); err != nil {
			return fmt.Errorf("table %q: entry of place %d: %w", r.name, e.Place, err)
		}
		canonical, unequal, err := value.Key(e.Key, nil)
		if err != nil {
			return fmt.Errorf("table %q: entry of place %d: %w", r.name, e.Place, err)
		}
		if unequal {
			canonical = unequalKey(nil, rand.Uint64())
		}
		k := key{hash: r.table.store.hashOf(canonical), canonical: canonical}
		if &canonical[0] != &e.Key[0] && string(canonical) != string(e.Key) {
			k.original = e.Key
		}
		items[i] = restored{k, *e}
	}
	return nil
}

// isOneValue returns an error if b is no checked encoding of one value.
func isOneValue(b []byte) error {
	n, err := value.CheckStored(b)
	if err == nil && n != len(b) {
		err = fmt.Errorf("%d bytes behind the value", len(b)-n)
	}
	return err
}

// insert stores those items whose hashes begin with the bits of part.
func (r *Restorer) insert(part uint64, bits uint) error {
	d := r.table.dict
	w := write{store: d.store, first: r.table.createdLSN, views: &viewList{}}
	added := 0
	defer func() { d.size.Add(int64(added)) }()
	for i := range r.items {
		item := &r.items[i]
		if item.hash>>(64-bits) != part {
			continue
		}
		s := d.dir.Load().shard(item.hash)
		if s.index == nil && r.slots > 0 {
			s.index = d.store.newIndex(r.slots)
		}
		if s.find(item.hash, item.canonical) >= 0 {
			return fmt.Errorf("table %q: entry of place %d: its key is there already", r.name, item.Place)
		}
		s.insert(&w, &item.key, item.Val, item.Place)
		s.entry(s.count - 1).setVersion(item.Version)
		added++
		if s.full() {
			var c Call
			c.lockShard(s)
			d.split(&c, &w, s)
			c.unlockShards()
		}
	}
	return nil
}

// Elements puts n packed elements at the end of a list. Errors: bytes that are no n checked
// encodings; they end the restoring.
func (r *Restorer) Elements(packed []byte, n int) error {
	if r.table.kind != KindList {
		return ErrKind
	}
	at := 0
	for i := range n {
		size, err := value.CheckStored(packed[at:])
		if err != nil {
			return fmt.Errorf("table %q: element %d: %w", r.name, r.table.list.rope.Len()+i, err)
		}
		at += size
	}
	if at != len(packed) {
		return fmt.Errorf("table %q: %d bytes behind %d elements", r.name, len(packed)-at, n)
	}
	r.table.list.rope.AppendPacked(packed, n)
	return nil
}

// Done puts the table among the store's. Errors: ErrTableExists.
func (r *Restorer) Done() error {
	r.finish()
	s := r.table.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.tables.Load().Load(r.name); there {
		return fmt.Errorf("%w: %q", ErrTableExists, r.name)
	}
	s.nameLocked(r.name, r.table, r.table.namedLSN)
	return nil
}

// finish makes the table ready to be found.
func (r *Restorer) finish() {
	if l := r.table.list; l != nil {
		l.length.Store(int64(l.rope.Len()))
	}
}

// Discard frees what was restored so far, instead of Done.
func (r *Restorer) Discard() {
	if d := r.table.dict; d != nil {
		d.dir.Load().each(func(s *shard) { s.discard(d.store, r.table.createdLSN) })
	}
}
