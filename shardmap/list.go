package shardmap

import (
	"sync"
	"sync/atomic"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap/rope"
)

// List is a Python list: elements are checked encodings; indexes, slices, order and errors are
// Python's.
//
// Results are appended to dst, which must not overlap the arguments; after an error, dst is
// returned unchanged. A call that changes nothing takes no LSN and leaves Call.Version 0.
// Call.HasIf does not apply.
//
// One mutex guards a list. Only inline calls compare, count and sort values under it, and only up
// to inlineCost; other calls work on a frozen root. A long write owns the table lock, works on a
// frozen root without the mutex, and locks the mutex to publish its result. Until then, reads
// continue and see the old list.
type List struct {
	// constant
	store *Store
	table *Table

	length atomic.Int64 // of rope; written under mu

	mu       sync.Mutex
	filled   bool      // the table's creation is complete
	rope     rope.Rope // the elements
	queue    *queue    // what it has as a queue; nil: nothing
	frozen   *listRoot // the content as it is now, if a call has frozen it since the last change
	frozenAt uint64    // the newest view that has the root or does not need it

	queued int // its place in the store's dueQueue + 1; 0: none. Guarded by dueQueue.mu
}

// listRoot is the content of a list at one instant.
type listRoot struct {
	elements *rope.Root
	queue    *queueRoot // nil: it has nothing as a queue
}

// queueRoot is what a list has as a queue at one instant.
type queueRoot struct {
	options      QueueOptions
	held, counts *rope.Root // see queue
}

func newList(s *Store, t *Table) *List { return &List{store: s, table: t} }

// fill stores n packed elements in a new list, whose creation has the LSN created. The caller owns
// the table lock.
func (l *List) fill(c *Call, packed []byte, n int, created uint64) {
	var r rope.Rope
	r.AppendPacked(packed, n)
	c.lock(&l.mu)
	l.rope, l.frozenAt, l.filled = r, created-1, true
	if c.QueueOptions != (QueueOptions{}) {
		l.asQueue().options = c.QueueOptions
	}
	l.unlockChanged(c)
}

// drop removes all elements and held items and marks the table as dropped. Errors: ErrBusy if a
// long write owns the table.
func (l *List) drop(c *Call) (vs *viewList, err error) {
	if err := l.lockWhole(c); err != nil {
		return nil, err
	}
	c.Version, vs = l.assign(c, 1)
	l.rope.Clear() // the length stays, for calls that are about to read it
	l.unschedule()
	l.queue = nil
	l.table.state.Store(dropped)
	c.complete()
	c.unlock()
	return vs, nil
}

// lockWhole locks the mutex for a change to the table itself. Errors: ErrBusy if a long write owns
// the table.
func (l *List) lockWhole(c *Call) error {
	c.lock(&l.mu)
	if l.table.owned() {
		c.unlock()
		return ErrBusy
	}
	return nil
}

// Len returns the number of elements.
func (l *List) Len() int { return int(l.length.Load()) }

// Bytes returns how many bytes the elements have in their encoding.
func (l *List) Bytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rope.Bytes()
}

// lockToRead locks the mutex once the list may be read.
func (l *List) lockToRead(c *Call) error {
	for {
		c.lock(&l.mu)
		if l.filled && l.table.checkName(c) == nil && !l.table.lock.isPoisoned() {
			return nil
		}
		if err := l.waitOrBusy(c); err != nil {
			return err
		}
	}
}

// frozenRoot returns the current elements, to be read without the mutex.
func (l *List) frozenRoot(c *Call) (*rope.Root, error) {
	if err := l.lockToRead(c); err != nil {
		return nil, err
	}
	root := l.freeze().elements
	c.unlock()
	return root, nil
}

// lockToWrite locks the mutex once the list may be changed.
func (l *List) lockToWrite(c *Call) error {
	c.Version = 0
	for {
		c.lock(&l.mu)
		if !l.table.unavailable(c) && l.table.state.Load() == present {
			return nil
		}
		if err := l.waitOrBusy(c); err != nil {
			return err
		}
	}
}

// waitOrBusy unlocks the mutex and decides what a call does that met an unavailable list. After nil
// the call tries again.
func (l *List) waitOrBusy(c *Call) error {
	err := l.table.checkName(c)
	c.unlock()
	if err != nil {
		return err
	}
	return l.table.lock.waitOrBusy(c)
}

// unlockChanged ends a change.
func (l *List) unlockChanged(c *Call) {
	l.length.Store(int64(l.rope.Len()))
	c.complete()
	c.unlock()
}

// beginChange assigns k LSNs to a change that cannot fail. Change the rope after it, not before.
// The caller holds mu.
func (l *List) beginChange(c *Call, k int) {
	n, _ := l.assign(c, uint64(k))
	c.Version = n + uint64(k) - 1
}

// assign assigns k LSNs and hands the current root over to the views that need it. The caller holds
// mu.
func (l *List) assign(c *Call, k uint64) (n uint64, vs *viewList) {
	n, vs = l.store.assign(c, l.table, k)
	if vs.newest > l.frozenAt {
		l.handover(vs, n)
	}
	l.frozen = nil
	return n, vs
}

func (l *List) handover(vs *viewList, n uint64) {
	l.frozenAt = vs.handover(l.table, l, l.frozenAt, n, func() any { return l.freeze() })
}

// freeze returns the current content. The caller holds mu.
func (l *List) freeze() *listRoot {
	if l.frozen == nil {
		l.frozen = &listRoot{elements: l.rope.Freeze()}
		if q := l.queue; q != nil {
			l.frozen.queue = &queueRoot{q.options, q.held.Freeze(), q.counts.Freeze()}
		}
	}
	return l.frozen
}

// rewritten is what a long write makes of a list.
type rewritten struct {
	elements *rope.Rope
	lsns     int    // how many LSNs the change takes; 0: nothing changes
	counts   func() // notes which elements were delivered; nil: the same ones as before
}

// rewrite is a long write. build makes the new elements from the old ones, without the mutex.
func (l *List) rewrite(c *Call, build func(old *rope.Root) (rewritten, error)) error {
	c.Version = 0
	h := l.table.lock.acquire()
	if h == nil {
		return ErrPoisoned
	}
	defer l.table.unlock(c, h)
	old, err := l.frozenRoot(c)
	if err != nil {
		return err
	}

	next, err := build(old)
	if err != nil || next.lsns == 0 {
		return err
	}
	c.lock(&l.mu)
	l.beginChange(c, next.lsns)
	l.rope = *next.elements
	if next.counts != nil {
		next.counts()
	}
	l.unlockChanged(c)
	return nil
}

// edit changes the list by f, which adds elements at the end and takes k LSNs: under the mutex, or
// as a long write.
func (l *List) edit(c *Call, long bool, k int, f func(r *rope.Rope)) error {
	if long {
		return l.rewrite(c, func(old *rope.Root) (rewritten, error) {
			next := old.Thaw()
			f(next)
			return rewritten{elements: next, lsns: k}, nil
		})
	}
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	l.beginChange(c, k)
	f(&l.rope)
	l.unlockChanged(c)
	return nil
}

// Errors with constant texts.
var (
	errIndex     = &value.Error{Kind: value.IndexError, Msg: "list index out of range"}
	errAssign    = &value.Error{Kind: value.IndexError, Msg: "list assignment index out of range"}
	errPop       = &value.Error{Kind: value.IndexError, Msg: "pop index out of range"}
	errPopEmpty  = &value.Error{Kind: value.IndexError, Msg: "pop from empty list"}
	errRemove    = &value.Error{Kind: value.ValueError, Msg: "list.remove(x): x not in list"}
	errSliceStep = &value.Error{Kind: value.ValueError, Msg: "slice step cannot be zero"}
)
