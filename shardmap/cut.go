package shardmap

import (
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// MaxLSN bounds the clock: entries store versions in 48 bits.
const MaxLSN = 1<<48 - 1

// maxSkipped is the most LSNs that one Log.Append skips: logs have limits.
const maxSkipped = 1 << 31

// viewList is the immutable list of open views that Store.views points to.
type viewList struct {
	busy   bool   // a cut is reading the clock: wait for the next list
	newest uint64 // the highest LSN in cuts; 0: no view is open
	cuts   []*cut // in order of their LSNs, which may be equal
}

// cut is the store's side of an open view: its LSN, and the parts that writers have handed over
// to it.
type cut struct {
	// constant once the cut is in the list of views
	store *Store
	table *Table // nil: the whole store
	lsn   uint64
	now   int64 // of the store

	mu     sync.Mutex
	closed bool
	// parts are what writers have handed over: of a shard its *contents, of a *List its root.
	parts map[*Table]map[any]any // handed over: of a shard its *contents, of a *List its root
	names []namedTable           // tables dropped or renamed since the cut

	retired []retiredBlock // blocks whose oldest reader is this view; guarded by reclaimer.mu
}

// assign assigns the LSNs n to n+k-1 to a change of t. The caller holds the locks of the change,
// which can no longer fail; Call.complete ends it. The list of views is as recent as n: a view with
// an LSN below n is in it unless it was closed.
func (s *Store) assign(c *Call, t *Table, k uint64) (n uint64, vs *viewList) {
	c.changing = t
	n = s.clock.Add(k) - k + 1
	if t.aging {
		s.noteAging()
	}
	if c.Log != nil {
		c.Log.Append(n, k, c.Time, c.Request)
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

// newCut opens a view of table, or of the whole store if table is nil. The view shows the changes
// with LSNs up to its own, which is the last one assigned: a cut assigns none.
func (s *Store) newCut(table *Table) *cut {
	c := &cut{store: s, table: table, parts: make(map[*Table]map[any]any)}
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	old := s.views.Load()
	busy := &viewList{busy: true, newest: old.newest, cuts: old.cuts}
	next := &viewList{cuts: append(slices.Clip(old.cuts), c)}
	if brokenCut {
		c.lsn = s.clock.Load()
		runtime.Gosched()
	}
	s.views.Store(busy)
	if !brokenCut {
		c.lsn = s.clock.Load()
	}
	if brokenView {
		c.lsn = s.clock.Add(1)
	}
	c.now = s.now.Load()
	next.newest = c.lsn
	s.views.Store(next)
	return c
}

// close ends the view and frees what was retained for it. Later calls do nothing.
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
		next.newest = next.cuts[n-1].lsn
	}
	s.views.Store(next)
	s.viewsMu.Unlock()
	s.reclaimer.closeView(s, c)
}

// visibility says which entries of a table open views may see: those with versions up to newest and
// places above consumed.
type visibility struct{ newest, consumed uint64 }

func (v *visibility) visible(version, place uint64) bool {
	return version <= v.newest && place > v.consumed
}

// visibilityOf returns what open views may see of t.
func (vs *viewList) visibilityOf(t *Table) (v visibility) {
	for i := len(vs.cuts) - 1; i >= 0; i-- {
		switch c := vs.cuts[i]; {
		case !c.covers(t):
		case v.newest > 0:
			return visibility{v.newest, 0} // an older view may be further behind
		default:
			v.newest = c.lsn
			if p := t.drain.Load(); p != nil && p.cut == c {
				v.consumed = p.consumed.Load()
			}
		}
	}
	return v
}

// drainProgress says how far a view has come that reads a table for the last time.
type drainProgress struct {
	cut *cut
	// consumed is the last place that was yielded and is no longer needed; math.MaxUint64: the
	// whole table is.
	consumed atomic.Uint64
}

// handover hands one part of t (a shard or a list), as it is before change n, to each open view
// that needs it: those with frozenAt < LSN < n. It returns the part's new frozenAt. The caller
// holds the part's lock. freeze is called at most once.
//
// Callers first compare vs.newest with frozenAt: in most cases no view needs the part.
func (vs *viewList) handover(t *Table, part any, frozenAt, n uint64, freeze func() any) uint64 {
	var frozen any
	served := frozenAt
	for _, c := range vs.cuts {
		if c.lsn <= frozenAt || c.lsn >= n {
			continue
		}
		served = c.lsn
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

// covers reports whether the view may still read t.
func (c *cut) covers(t *Table) bool {
	if c.table != nil && c.table != t {
		return false
	}
	d := t.drain.Load()
	return d == nil || d.cut != c || d.consumed.Load() != math.MaxUint64
}

// accept stores a frozen part of t.
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

// part returns a part of t that was handed over to the view, nil if it was not.
func (c *cut) part(t *Table, part any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parts[t][part]
}

// allParts returns the parts of t that have been handed over to the view so far.
func (c *cut) allParts(t *Table) map[any]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.parts[t])
}

// dropParts frees what was handed over to the view of t.
func (c *cut) dropParts(t *Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.parts, t)
}
