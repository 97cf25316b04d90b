package shardmap

import (
	"iter"
	"sync"

	"cyberdb-fast/shardmap/rope"
)

// ListView shows the content of a list at one instant, while writers continue. It is safe for
// concurrent use, and the elements that it yields never change.
type ListView struct {
	list *List
	lsn  uint64

	once sync.Once
	cut  *cut // of the store's view that this one is part of; nil: none
	root *listRoot
}

// View opens a view of the list.
//
// Errors: ErrBusy while the list is being created, for an inline call; ErrNoTable.
func (l *List) View(c *Call) (*ListView, error) {
	if err := l.lockToRead(c); err != nil {
		return nil, err
	}
	// The root never changes, so writers need not know of the view. Later changes have higher LSNs.
	v := &ListView{list: l, lsn: l.store.Clock(), root: l.freeze()}
	c.unlock()
	return v, nil
}

// newListView returns the view of a list at a cut.
func newListView(c *cut, l *List) *ListView { return &ListView{list: l, lsn: c.lsn, cut: c} }

// LSN returns the view's LSN: it shows exactly the changes of the list with LSNs up to that.
func (v *ListView) LSN() uint64 { return v.lsn }

// Close ends the view. Later calls do nothing. A view that is part of a View ends with that one
// instead.
func (v *ListView) Close() {}

// elements returns the root at the view's instant. It waits for the creation of the list, if the
// view must show it.
func (v *ListView) elements() *rope.Root { return v.content().elements }

// content is elements with what the list has as a queue.
func (v *ListView) content() *listRoot {
	if v.cut != nil {
		v.once.Do(v.collect)
	}
	return v.root
}

// collect gets what a writer has handed over. If there is nothing, the list is still as it was at
// the cut.
func (v *ListView) collect() {
	l, c := v.list, v.cut
	l.table.lock.waitUpTo(c.lsn)
	l.mu.Lock()
	defer l.mu.Unlock()
	if root := c.part(l.table, l); root != nil {
		v.root = root.(*listRoot)
		return
	}
	v.root = l.freeze()
}

// Len returns the number of elements.
func (v *ListView) Len() int { return v.elements().Len() }

// Values yields all elements in order.
func (v *ListView) Values() iter.Seq[[]byte] {
	root := v.elements()
	return span{step: 1, n: root.Len()}.values(root)
}

// Slice yields the elements of [start:stop:step]. Errors: ValueError for step 0.
func (v *ListView) Slice(start, stop, step *int64) (iter.Seq[[]byte], error) {
	root := v.elements()
	s, err := newSpan(root.Len(), start, stop, step)
	if err != nil {
		return nil, err
	}
	return s.values(root), nil
}

// Count returns the number of elements that equal val.
func (v *ListView) Count(val []byte) int {
	root := v.elements()
	return newNeedle(val).count(root)
}

// Contains reports whether an element equals val.
func (v *ListView) Contains(val []byte) bool {
	root := v.elements()
	return newNeedle(val).find(root, 0, root.Len()) >= 0
}

// Index returns the position of the first element from start up to stop that equals val. Errors:
// ValueError if there is none.
func (v *ListView) Index(val []byte, start, stop *int64) (int, error) {
	root := v.elements()
	from, to := searchRange(root.Len(), start, stop)
	if i := newNeedle(val).find(root, from, to); i >= 0 {
		return i, nil
	}
	return 0, notInList(val)
}

// Options returns the list's options.
func (v *ListView) Options() (o QueueOptions) {
	if q := v.content().queue; q != nil {
		o = q.options
	}
	return o
}

// HeldLen returns the number of held items.
func (v *ListView) HeldLen() int {
	if q := v.content().queue; q != nil {
		return q.held.Len() / 2
	}
	return 0
}

// Held yields the held items, in order of their receipts.
func (v *ListView) Held() iter.Seq[HeldItem] {
	return func(yield func(HeldItem) bool) {
		q := v.content().queue
		if q == nil {
			return
		}
		for i := range q.held.Len() / 2 {
			if !yield(heldAt(q.held, i)) {
				return
			}
		}
	}
}

// Counted yields all elements in order, each with how often it was delivered.
func (v *ListView) Counted() iter.Seq2[uint32, []byte] {
	return func(yield func(uint32, []byte) bool) {
		root := v.content()
		counts := new(rope.Root)
		if root.queue != nil {
			counts = root.queue.counts
		}
		for i, elem := range root.elements.Range(0, root.elements.Len()) {
			if !yield(countAt(counts, i), elem) {
				return
			}
		}
	}
}
