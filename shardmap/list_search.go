package shardmap

import (
	"bytes"
	"fmt"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap/rope"
)

// needle is a value to search for by Python's ==. Whole numbers of 64 bits, strings and bytes are
// compared without decoding the elements.
type needle struct {
	val     []byte
	kind    scalarKind
	number  int64
	content []byte
	other   *value.Matcher // for scalarOther
}

func newNeedle(val []byte) *needle {
	n := &needle{val: val, kind: kindOf(val)}
	switch n.kind {
	case scalarInt:
		n.number = intOf(val)
	case scalarStr, scalarBytes:
		n.content = contentOf(val)
	case scalarOther:
		n.other = value.NewMatcher(val)
	}
	return n
}

// matches reports whether the element equals the needle.
func (n *needle) matches(elem []byte) bool {
	if n.kind == scalarOther {
		return n.other.Equal(elem)
	}
	switch kind := kindOf(elem); {
	case kind == n.kind && kind == scalarInt:
		return intOf(elem) == n.number
	case kind == n.kind:
		return bytes.Equal(contentOf(elem), n.content)
	case kind == scalarOther:
		return value.Equal(elem, n.val)
	}
	return false
}

// inlineCost is the most work on elements that an inline call may do under the mutex, in estimated
// nanoseconds.
const inlineCost = 500_000

// scalarCost is the cost of comparing a whole number, str or bytes with another, without the part
// for each byte: 1/16.
const scalarCost = 16

// openedCost is the same if the other value must be decoded, as a Decimal or a tuple must.
const openedCost = 100

// readCost estimates the cost of comparing an element.
func readCost(elem []byte) int {
	if sortKindOf(elem) != scalarOther {
		return scalarCost + len(elem)/16
	}
	cost, _ := value.Cost(elem, value.UseCompare, inlineCost)
	return cost
}

// cost estimates the cost of comparing the element with the needle.
func (n *needle) cost(elem []byte) int {
	switch {
	case kindOf(elem) == scalarOther:
		return readCost(elem)
	case n.kind == scalarOther:
		return openedCost + len(elem)/16
	}
	return scalarCost + len(elem)/16
}

// find returns the position of the first match from i up to j, -1 if there is none.
func (n *needle) find(r *rope.Root, i, j int) int {
	for at, elem := range r.Range(i, j) {
		if n.matches(elem) {
			return at
		}
	}
	return -1
}

// findInline is find within the limits of an inline call. Errors: ErrLong if the search exceeds
// them.
func (n *needle) findInline(c *Call, r *rope.Root, i, j int) (int, error) {
	near, budget := min(j, i+InlineElements), inlineCost
	defer func() { c.Cost += inlineCost - budget }()
	for at, elem := range r.Range(i, near) {
		if budget -= n.cost(elem); budget < 0 {
			return -1, ErrLong
		}
		if n.matches(elem) {
			return at, nil
		}
	}
	if near < j {
		return -1, ErrLong
	}
	return -1, nil
}

// count returns the number of matches.
func (n *needle) count(r *rope.Root) (count int) {
	for _, elem := range r.Range(0, r.Len()) {
		if n.matches(elem) {
			count++
		}
	}
	return count
}

// countInline is count within the limits of an inline call. Errors: ErrLong if the search exceeds
// them.
func (n *needle) countInline(c *Call, r *rope.Root) (count int, err error) {
	if r.Len() > InlineElements {
		return 0, ErrLong
	}
	budget := inlineCost
	defer func() { c.Cost += inlineCost - budget }()
	for _, elem := range r.Range(0, r.Len()) {
		if budget -= n.cost(elem); budget < 0 {
			return 0, ErrLong
		}
		if n.matches(elem) {
			count++
		}
	}
	return count, nil
}

// searchRange resolves start and stop of list.index. The result is empty or lies in the list.
func searchRange(length int, start, stop *int64) (from, to int) {
	n := int64(length)
	first, last := int64(0), n
	if start != nil {
		first = clamp(*start, n, 0, n)
	}
	if stop != nil {
		last = clamp(*stop, n, 0, n)
	}
	return int(first), int(max(first, last))
}

// maxShownBytes bounds the value that an error shows: the repr of a larger one takes long and would
// be truncated.
const maxShownBytes = 4 << 10

// notInList returns the error of a search for val by list.index.
func notInList(val []byte) error {
	if len(val) > maxShownBytes {
		return &value.Error{Kind: value.ValueError, Msg: fmt.Sprintf("a value of %d bytes is not in list", len(val))}
	}
	repr, err := value.Repr(val)
	if err != nil {
		return err
	}
	return &value.Error{Kind: value.ValueError, Msg: repr + " is not in list"}
}

// Contains reports whether an element equals val. Errors: ErrLong for an inline call that finds no
// match among the first InlineElements, or within inlineCost, if there are more.
func (l *List) Contains(c *Call, val []byte) (bool, error) {
	i, err := l.search(c, val, nil, nil)
	return i >= 0, err
}

// Index returns the position of the first element from start up to stop that equals val. Errors:
// ValueError if there is none; ErrLong for an inline call as Contains.
func (l *List) Index(c *Call, val []byte, start, stop *int64) (int, error) {
	i, err := l.search(c, val, start, stop)
	if err != nil {
		return 0, err
	}
	if i < 0 {
		return 0, notInList(val)
	}
	return i, nil
}

// search returns the position of the first element from start up to stop that equals val, -1 if
// there is none.
func (l *List) search(c *Call, val []byte, start, stop *int64) (int, error) {
	n := newNeedle(val)
	if c.MayBlock {
		root, err := l.frozenRoot(c)
		if err != nil {
			return -1, err
		}
		from, to := searchRange(root.Len(), start, stop)
		return n.find(root, from, to), nil
	}
	if err := l.lockToRead(c); err != nil {
		return -1, err
	}
	from, to := searchRange(l.rope.Len(), start, stop)
	i, err := n.findInline(c, &l.rope.Root, from, to)
	c.unlock()
	return i, err
}

// Count returns the number of elements that equal val. Errors: ErrLong for an inline call on more
// than InlineElements or inlineCost.
func (l *List) Count(c *Call, val []byte) (int, error) {
	n := newNeedle(val)
	if c.MayBlock {
		root, err := l.frozenRoot(c)
		if err != nil {
			return 0, err
		}
		return n.count(root), nil
	}
	if err := l.lockToRead(c); err != nil {
		return 0, err
	}
	count, err := n.countInline(c, &l.rope.Root)
	c.unlock()
	return count, err
}

// Remove removes the first element that equals val. Errors: ValueError if there is none; ErrLong
// for an inline call as Contains.
func (l *List) Remove(c *Call, val []byte) error {
	n := newNeedle(val)
	if c.MayBlock {
		return l.rewrite(c, func(old *rope.Root) (rewritten, error) {
			i := n.find(old, 0, old.Len())
			if i < 0 {
				return rewritten{}, errRemove
			}
			next := old.Thaw()
			next.Delete(i)
			return rewritten{next, 1, func() { l.countRemoved(i) }}, nil
		})
	}
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	i, err := n.findInline(c, &l.rope.Root, 0, l.rope.Len())
	switch {
	case err != nil:
	case i < 0:
		err = errRemove
	default:
		l.beginChange(c, 1)
		l.rope.Delete(i)
		l.countRemoved(i)
	}
	l.unlockChanged(c)
	return err
}
