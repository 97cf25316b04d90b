package shardmap

import (
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// MaxLSN bounds the clock: versions are kept in 48 bits.
const MaxLSN = 1<<48 - 1

// mostDrawn is how many numbers are drawn at once for nothing: logs have limits.
const maxSkipped = 1 << 31

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
	parts  map[*Table]map[any]any // handed over: of a shard its *contents, of a *List its root
	names  []namedTable           // tables dropped or renamed since the cut

	retired []retiredBlock // blocks that it is the oldest view to see; guarded by graveyard.mu
}

// assign takes k numbers from the clock, n to n+k-1, for a mutation of t whose locks are held and
// which cannot fail any more; Call.complete ends it. The list of views is as young as n: a view
// with a number below n is in it, unless closed.
func (s *Store) assign(c *Call, t *Table, k uint64) (n uint64, vs *viewList) {
	c.changing = t
	n = s.clock.Add(k) - k + 1
	if c.Log != nil {
		c.Log.Append(n, k, c.Request)
	}
	vs = s.views.Load()
	if vs.busy {
		vs = s.openViews()
	}
	return n, vs
}

// openViews returns the list of views once no cut is being made.
func (s *Store) openViews() *viewList {
	for spins := 0; ; spins++ {
		if vs := s.views.Load(); !vs.busy {
			return vs
		}
		if spins > 100 {
			runtime.Gosched()
		}
	}
}

// newCut opens a view of table, or of the whole store if table is nil: it will see the mutations
// with numbers below its own.
func (s *Store) newCut(call *Call, table *Table) *cut {
	c := &cut{store: s, table: table, parts: make(map[*Table]map[any]any)}
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	old := s.views.Load()
	busy := &viewList{busy: true, newest: old.newest, cuts: old.cuts}
	next := &viewList{cuts: append(slices.Clip(old.cuts), c)}
	if brokenCut {
		c.number = s.clock.Add(1)
		runtime.Gosched()
	}
	s.views.Store(busy)
	if !brokenCut {
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
	s.reclaimer.closeView(s, c)
}

// visibility says which entries of a table open views may see: those with versions below seen and
// places above passed.
type visibility struct{ newest, consumed uint64 }

func (v *visibility) visible(version, place uint64) bool {
	return version < v.newest && place > v.consumed
}

// visibilityOf returns what open views may see of t.
func (vs *viewList) visibilityOf(t *Table) (v visibility) {
	for i := len(vs.cuts) - 1; i >= 0; i-- {
		switch c := vs.cuts[i]; {
		case !c.covers(t):
		case v.newest > 0:
			return visibility{v.newest, 0} // an older view may be behind
		default:
			v.newest = c.number
			if p := t.drain.Load(); p != nil && p.cut == c {
				v.consumed = p.consumed.Load()
			}
		}
	}
	return v
}

// drainProgress is how far a view has come that reads a table for the last time.
type drainProgress struct {
	cut *cut
	// entries up to this place were yielded and are let go; math.MaxUint64: all of the table is
	consumed atomic.Uint64
}

// handover gives one part of t (a shard, a list), as it is before the mutation n, to each open view
// that must have it: those with frozenAt < number < n. It returns the part's new frozenAt. The
// caller holds the part's lock. freeze is called at most once.
//
// Callers look first whether vs.newest > frozenAt: mostly it is not, and there is nothing to do.
func (vs *viewList) handover(t *Table, part any, frozenAt, n uint64, freeze func() any) uint64 {
	var frozen any
	served := frozenAt
	for _, c := range vs.cuts {
		if c.number <= frozenAt || c.number > n {
			continue
		}
		served = c.number
		if !c.covers(t) || brokenHandover {
			continue
		}
		if frozen == nil {
			frozen = freeze()
		}
		c.accept(t, part, frozen)
	}
	return served
}

// covers tells whether the view may still read t.
func (c *cut) covers(t *Table) bool {
	if c.table != nil && c.table != t {
		return false
	}
	d := t.drain.Load()
	return d == nil || d.cut != c || d.consumed.Load() != math.MaxUint64
}

// accept accepts a part of t, frozen.
func (c *cut) accept(t *Table, part, frozen any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.parts[t] == nil {
		c.parts[t] = make(map[any]any)
	}
	c.parts[t][part] = frozen
}

// part returns a part of t that the view has been given; nil: it has not.
func (c *cut) part(t *Table, part any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parts[t][part]
}

// allParts returns the parts of t that the view has been given until now.
func (c *cut) allParts(t *Table) map[any]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.parts[t])
}

// dropParts lets go what the view has been given of t.
func (c *cut) dropParts(t *Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.parts, t)
}
