package shardmap

import (
	"iter"
	"sync"

	"cyberdb-fast/shardmap/rope"
)

// ListView shows what a list held at one moment, while writers go on. Any number of goroutines may
// read it; elements are views that stay good.
type ListView struct {
	list   *List
	number uint64

	once sync.Once
	cut  *cut // of the store's view that this is a part of, if it is
	root *rope.Root
}

// View opens a view of the list.
//
// Errors: ErrBusy while the list is being created, for an inline call; ErrNoTable.
func (l *List) View(c *Call) (*ListView, error) {
	if err := l.lockToRead(c); err != nil {
		return nil, err
	}
	// A list is one part and its root never changes, so no writer need know of the view. All of the
	// list's mutations so far have numbers that were drawn, all later ones have higher numbers.
	v := &ListView{list: l, number: l.store.Clock() + 1, root: l.freeze()}
	c.unlock()
	return v, nil
}

// newListView returns the list as the cut shows it.
func newListView(c *cut, l *List) *ListView { return &ListView{list: l, number: c.number, cut: c} }

// Number returns the view's place on the store's clock: it shows exactly the mutations with lower
// LSNs.
func (v *ListView) Number() uint64 { return v.number }

// Close ends the view; the view of a View ends with that. It may be called more than once.
func (v *ListView) Close() {}

// elements returns the root of the view's moment. It waits for the creation of the list, if the
// view must show it whole.
func (v *ListView) elements() *rope.Root {
	if v.cut != nil {
		v.once.Do(v.collect)
	}
	return v.root
}

// collect takes what a writer has handed over, or freezes the list and keeps that for the next
// reader of the same cut.
func (v *ListView) collect() {
	l, c := v.list, v.cut
	l.table.lock.waitBefore(c.number)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozenAt < c.number {
		l.handover(l.store.openViews(), c.number) // older views too: frozenAt speaks for them as well
	}
	if root := c.part(l.table, l); root != nil {
		v.root = root.(*rope.Root)
		return
	}
	v.root = l.freeze()
	c.accept(l.table, l, v.root)
}

// Len returns how many elements the list had.
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

// Count returns how many elements equal val.
func (v *ListView) Count(val []byte) int {
	root := v.elements()
	return newNeedle(val).count(root)
}

// Contains tells whether an element equals val.
func (v *ListView) Contains(val []byte) bool {
	root := v.elements()
	return newNeedle(val).find(root, 0, root.Len()) >= 0
}

// Index returns the place of the first element from start up to stop that equals val. Errors:
// ValueError if there is none.
func (v *ListView) Index(val []byte, start, stop *int64) (int, error) {
	root := v.elements()
	from, to := searchRange(root.Len(), start, stop)
	if i := newNeedle(val).find(root, from, to); i >= 0 {
		return i, nil
	}
	return 0, notInList(val)
}
