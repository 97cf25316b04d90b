package shardmap

import (
	"runtime"
	"slices"
	"sync"
)

// MaxLSN bounds the clock: versions are kept in 48 bits.
const MaxLSN = 1<<48 - 1

// viewList is the immutable list of open views that Store.views points to.
type viewList struct {
	busy   bool   // a cut is drawing its number: wait for the next list
	newest uint64 // the highest number below; 0: no view is open
	cuts   []*cut // by number
}

// cut is one open view's side of the store: its number and what writers have handed to it.
type cut struct {
	// constant once the cut is in the list
	store  *Store
	table  *Table // nil: the whole store
	number uint64

	mu     sync.Mutex
	closed bool
	parts  map[*Table][]any // handed over, in no order: *contents of shards, or a list's frozen root
	names  []namedTable     // tables dropped or renamed since the cut

	kept []deadBlock // blocks that it is the oldest view to see; guarded by graveyard.mu
}

type namedTable struct {
	name  string
	table *Table
}

// draw takes k numbers from the clock, n to n+k-1, for a mutation whose locks are held and which cannot fail any more. The list of views
// is as young as n: a view with a number below n is in it, unless closed.
func (s *Store) draw(c *Call, k uint64) (n uint64, vs *viewList) {
	n = s.clock.Add(k) - k + 1
	if c.Log != nil {
		c.Log.Append(n, k, c.Request)
	}
	vs = s.views.Load()
	if vs.busy {
		vs = s.settledViews()
	}
	return n, vs
}

// settledViews returns the list of views once no cut is being made.
func (s *Store) settledViews() *viewList {
	for spins := 0; ; spins++ {
		if vs := s.views.Load(); !vs.busy {
			return vs
		}
		if spins > 100 {
			runtime.Gosched()
		}
	}
}

// newCut opens a view of table, or of the whole store if table is nil: it will see the mutations with numbers below its own.
func (s *Store) newCut(call *Call, table *Table) *cut {
	c := &cut{store: s, table: table, parts: make(map[*Table][]any)}
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	old := s.views.Load()
	busy := &viewList{busy: true, newest: old.newest, cuts: old.cuts}
	next := &viewList{cuts: append(slices.Clip(old.cuts), c)}
	if broken.cutEarly {
		c.number = s.clock.Add(1)
		runtime.Gosched()
	}
	s.views.Store(busy)
	if !broken.cutEarly {
		c.number = s.clock.Add(1)
	}
	next.newest = c.number
	s.views.Store(next)
	if call.Log != nil {
		call.Log.Append(c.number, 1, nil)
	}
	return c
}

// close ends the view and lets go what was kept for it. It may be called more than once.
func (c *cut) close() {
	c.mu.Lock()
	closed := c.closed
	c.closed, c.parts, c.names = true, nil, nil
	c.mu.Unlock()
	if closed {
		return
	}
	s := c.store
	s.viewsMu.Lock()
	old := s.views.Load()
	next := &viewList{cuts: slices.DeleteFunc(slices.Clone(old.cuts), func(o *cut) bool { return o == c })}
	if n := len(next.cuts); n > 0 {
		next.newest = next.cuts[n-1].number
	}
	s.views.Store(next)
	s.viewsMu.Unlock()
	s.graveyard.release(s, c)
}

// newestOf returns the highest number of an open view that covers t, 0 if there is none. What was written at or after it may be
// changed in place; what is older may be seen by a view.
func (vs *viewList) newestOf(t *Table) uint64 {
	for i := len(vs.cuts) - 1; i >= 0; i-- {
		if vs.cuts[i].covers(t) {
			return vs.cuts[i].number
		}
	}
	return 0
}

// handover gives one part of t (a shard, a list's root), as it is before the mutation n, to each open view that must have it: those with
// frozenAt < number < n. It returns the part's new frozenAt. The caller holds the part's lock. freeze is called at most once.
//
// Callers look first whether vs.newest > frozenAt: mostly it is not, and there is nothing to do.
func (vs *viewList) handover(t *Table, frozenAt, n uint64, freeze func() any) uint64 {
	var part any
	served := frozenAt
	for _, c := range vs.cuts {
		if c.number <= frozenAt || c.number > n {
			continue
		}
		served = c.number
		if !c.covers(t) || broken.skipHandover {
			continue
		}
		if part == nil {
			part = freeze()
		}
		c.take(t, part)
	}
	return served
}

func (c *cut) covers(t *Table) bool { return c.table == nil || c.table == t }

// take accepts a part of t that a writer hands over.
func (c *cut) take(t *Table, part any) {
	c.mu.Lock()
	if !c.closed {
		c.parts[t] = append(c.parts[t], part)
	}
	c.mu.Unlock()
}

// handed returns what the view has been given of t until now.
func (c *cut) handed(t *Table) []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parts[t]
}

// broken are faults that tests switch on to see that their checkers catch them.
var broken struct {
	skipHandover   bool // writers hand nothing over
	cutEarly       bool // a cut draws its number before it marks the list
	renameUnlocked bool // a table is renamed while calls on it are under way
}
