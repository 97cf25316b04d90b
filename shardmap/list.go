package shardmap

import (
	"sync"
	"sync/atomic"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap/rope"
)

// List is a Python list: elements are checked encodings, indexes, slices, order and errors are
// Python's.
//
// Results are appended to dst, which must not overlap the arguments; dst is given back as it was
// with an error. A call that changes nothing draws no number and leaves Call.Version 0. Call.HasIf
// does not apply.
//
// One mutex guards a list. Values are compared, counted and sorted under it only by inline calls,
// and only inlineCost of them; calls beside the loop do it on a frozen root. A long write owns the
// table's gate, works beside it on a frozen root and takes the mutex to publish what it has made:
// reads go on until then and see the list as it was.
type List struct {
	// constant
	store *Store
	table *Table

	length atomic.Int64 // of rope; written under mu

	mu       sync.Mutex
	filled   bool       // the table's creation is complete
	rope     rope.Rope  // the elements
	frozen   *rope.Root // rope as it is now, if somebody has asked for it since the last change
	frozenAt uint64     // the highest number of a view that has been given the root, or need not be
}

func newList(s *Store, t *Table) *List { return &List{store: s, table: t} }

// fill makes n packed elements the contents of a list that nobody has used yet; the first one is
// mutation lsn, the creation the one before. The caller owns the gate.
func (l *List) fill(c *Call, packed []byte, n int, lsn uint64) {
	var r rope.Rope
	r.AppendPacked(packed, n)
	c.lock(&l.mu)
	l.rope, l.frozenAt, l.filled = r, lsn-1, true
	l.unlockChanged(c)
}

// drop takes all elements out for good and marks the table dropped. Errors: ErrBusy if a long write
// owns the table.
func (l *List) drop(c *Call) (vs *viewList, err error) {
	if err := l.lockWhole(c); err != nil {
		return nil, err
	}
	c.Version, vs = l.assign(c, 1)
	l.rope.Clear() // the length stays, for whoever is on the way to read it
	l.table.state.Store(dropped)
	c.complete()
	c.unlock()
	return vs, nil
}

// lockWhole takes the mutex for a change to the table itself. Errors: ErrBusy if a long write owns
// the table.
func (l *List) lockWhole(c *Call) error {
	c.lock(&l.mu)
	if l.table.owned() {
		c.unlock()
		return ErrBusy
	}
	return nil
}

// Len returns how many elements the list has.
func (l *List) Len() int { return int(l.length.Load()) }

// lockToRead takes the mutex of a list that may be read.
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

// frozenRoot returns the elements as they are now, to be read without the mutex.
func (l *List) frozenRoot(c *Call) (*rope.Root, error) {
	if err := l.lockToRead(c); err != nil {
		return nil, err
	}
	root := l.freeze()
	c.unlock()
	return root, nil
}

// lockToWrite takes the mutex of a list that may be changed.
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

// waitOrBusy gives the mutex back and decides how a call goes on that cannot be made now: nil means that
// it is to be made again.
func (l *List) waitOrBusy(c *Call) error {
	err := l.table.checkName(c)
	c.unlock()
	if err != nil {
		return err
	}
	return l.table.lock.waitOrBusy(c)
}

// unlockChanged ends a mutation.
func (l *List) unlockChanged(c *Call) {
	l.length.Store(int64(l.rope.Len()))
	c.complete()
	c.unlock()
}

// beginChange draws k numbers for a mutation that cannot fail any more; mutate the rope after it, not
// before. The caller holds mu.
func (l *List) beginChange(c *Call, k int) {
	n, _ := l.assign(c, uint64(k))
	c.Version = n + uint64(k) - 1
}

// assign draws k numbers and hands the root as it is to the views that need it. The caller holds mu.
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

// freeze returns the elements as they are. The caller holds mu.
func (l *List) freeze() *rope.Root {
	if l.frozen == nil {
		l.frozen = l.rope.Freeze()
	}
	return l.frozen
}

// rewrite is a long write: build makes the new elements from the old ones, beside the mutex, and
// says how many numbers the mutation draws; none: nothing changes.
func (l *List) rewrite(c *Call, build func(old *rope.Root) (next *rope.Rope, k int, err error)) error {
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

	next, k, err := build(old)
	if err != nil || k == 0 {
		return err
	}
	c.lock(&l.mu)
	l.beginChange(c, k)
	l.rope = *next
	l.unlockChanged(c)
	return nil
}

// edit changes the list by f, which draws k numbers: at once, or as a long write if it is long.
func (l *List) edit(c *Call, long bool, k int, f func(r *rope.Rope)) error {
	if long {
		return l.rewrite(c, func(old *rope.Root) (*rope.Rope, int, error) {
			next := old.Thaw()
			f(next)
			return next, k, nil
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

// The errors of lists whose texts are the same always.
var (
	errIndex     = &value.Error{Kind: value.IndexError, Msg: "list index out of range"}
	errAssign    = &value.Error{Kind: value.IndexError, Msg: "list assignment index out of range"}
	errPop       = &value.Error{Kind: value.IndexError, Msg: "pop index out of range"}
	errPopEmpty  = &value.Error{Kind: value.IndexError, Msg: "pop from empty list"}
	errRemove    = &value.Error{Kind: value.ValueError, Msg: "list.remove(x): x not in list"}
	errSliceStep = &value.Error{Kind: value.ValueError, Msg: "slice step cannot be zero"}
)
