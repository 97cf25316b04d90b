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

// Restorer fills a table with saved content, including versions and places. Several tables may be
// restored at the same time, each by one goroutine. The entries of one batch are processed on all
// processors.
type Restorer struct {
	// constant
	table  *Table
	name   string
	shares uint // logarithm of the number of hash ranges that are filled in parallel
	slots  int  // initial size of a shard's index

	last  uint64 // place of the last entry, or receipt of the last held item
	items []restored
}

// restored is an entry on its way into its shard.
type restored struct {
	key
	Entry
}

const (
	// restoredFill is the part of minSplit to which the shards of a restored dict are filled, so
	// that the first insertions do not split them all.
	restoredFill = 0.85
	// maxRestoredDepth bounds the initial directory of a dict, whatever length is announced. Beyond
	// it the directory grows by splits.
	maxRestoredDepth = 12
	// minParallel is the least number of entries that are processed in parallel.
	minParallel = 1024
)

// Restore begins to restore a table. created is the LSN of its creation (TableView.Created); length
// is the expected number of entries of a dict. SetClock must have set the clock to the last LSN of
// the saved content. Until Done only Restorers may use the store, unless Adopt or Replace installs
// the tables.
//
// Errors: ErrKind; created is above the clock.
func (s *Store) Restore(name string, kind Kind, created uint64, length int) (*Restorer, error) {
	if created == 0 || created > s.Clock() {
		return nil, fmt.Errorf("table %q: created at LSN %d, but the clock is at %d", name, created, s.Clock())
	}
	t := &Table{
		store:      s,
		kind:       kind,
		tracks:     s.pressure.on && kind != KindLocks,
		createdLSN: created,
		namedLSN:   created,
	}
	t.state.Store(restoring)
	t.name.Store(&name)
	r := &Restorer{table: t, name: name}
	switch kind {
	case KindDict, KindLocks:
		t.dict = &Dict{table: t, store: s}
		t.dict.options.Store(&Options{})
		r.prepare(length)
	case KindList:
		t.list = newList(s, t)
		t.list.filled = true
	default:
		return nil, ErrKind
	}
	return r, nil
}

// prepare creates the shards that length entries need.
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

// Entries adds entries at the end of a dict, in the order of their places. It copies what they
// hold.
//
// Errors name the entry's place and end the restore: bytes that are not one checked encoding; a key
// that is not hashable or is already present; a place that is not above the last one; a version
// below the place or above the clock; a deadline that is none.
func (r *Restorer) Entries(entries []Entry) error {
	if r.table.dict == nil {
		return ErrKind
	}
	for i := range entries {
		e := &entries[i]
		if e.Place <= r.last || e.Version < e.Place || e.Version > r.table.store.Clock() {
			return fmt.Errorf("table %q: entry with place %d and version %d does not fit after place %d with "+
				"the clock at %d",
				r.name, e.Place, e.Version, r.last, r.table.store.Clock())
		}
		if e.Deadline < Forever || e.Deadline > MaxDeadline {
			return fmt.Errorf(
				"table %q: entry with place %d: its deadline %d is not a time",
				r.name,
				e.Place,
				e.Deadline,
			)
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

// inParallel calls f for 0 to n-1 in parallel. A panic in one of them is raised again in the
// caller.
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

// resolve checks entries and prepares their keys.
func (r *Restorer) resolve(entries []Entry, items []restored) error {
	for i := range entries {
		e := &entries[i]
		if err := errors.Join(isOneValue(e.Key), isOneValue(e.Val)); err != nil {
			return fmt.Errorf("table %q: entry at place %d: %w", r.name, e.Place, err)
		}
		canonical, unequal, err := value.Key(e.Key, nil)
		if err != nil {
			return fmt.Errorf("table %q: entry at place %d: %w", r.name, e.Place, err)
		}
		if unequal {
			canonical = unequalKey(nil, rand.Uint64())
		}
		k := key{hash: r.table.store.hashOf(canonical), canonical: canonical, deadline: e.Deadline}
		if &canonical[0] != &e.Key[0] && string(canonical) != string(e.Key) {
			k.original = e.Key
		}
		items[i] = restored{k, *e}
	}
	return nil
}

// isOneValue returns an error unless b is the checked encoding of one value.
func isOneValue(b []byte) error {
	n, err := value.CheckStored(b)
	if err == nil && n != len(b) {
		err = fmt.Errorf("%d bytes after the value", len(b)-n)
	}
	return err
}

// insert stores the items whose hashes start with the bits of part.
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
			return fmt.Errorf("table %q: entry at place %d: duplicate key", r.name, item.Place)
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

// Done installs the table in the store. Errors: ErrTableExists.
func (r *Restorer) Done() error {
	r.finish()
	s := r.table.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.tables.Load().Load(r.name); there {
		return fmt.Errorf("%w: %q", ErrTableExists, r.name)
	}
	s.nameLocked(r.name, r.table, r.table.namedLSN)
	r.table.begins()
	return nil
}

// Configure sets the settings of a dict, and adds marks to the store's: when the versions of the
// dict were assigned.
func (r *Restorer) Configure(s Settings, marks []Mark) error {
	if r.table.dict == nil {
		return ErrKind
	}
	r.table.dict.horizon.Store(s.Horizon)
	r.table.dict.since.Store(s.Since)
	r.table.dict.setOptions(s.Options)
	r.table.store.marks.merge(marks)
	return nil
}

// finish completes the table before it becomes visible.
func (r *Restorer) finish() {
	if l := r.table.list; l != nil {
		l.length.Store(int64(l.rope.Len()))
	}
}

// begins makes the entries of a restored table expire, now that the table is in the store.
func (t *Table) begins() {
	t.state.Store(present)
	if t.dict == nil {
		t.list.begins()
		return
	}
	t.dict.ageIfThere()
	defer func() {
		if o := t.dict.options.Load(); t.dict.excess(o) > 0 {
			t.dict.trimLater()
		}
	}()
	t.dict.dir.Load().each(func(s *shard) {
		s.mu.Lock()
		s.schedule()
		s.countBytes()
		s.mu.Unlock()
	})
}

// Discard frees what was restored so far. Call it instead of Done.
func (r *Restorer) Discard() {
	if d := r.table.dict; d != nil {
		d.dir.Load().each(func(s *shard) { s.discard(d.store, r.table.createdLSN) })
	}
}
