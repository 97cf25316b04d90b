package shardmap

import (
	"bytes"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap/rope"
)

// needle is a value to look for by Python's ==. Whole numbers of 64 bits, strings and bytes are compared without opening the elements.
type needle struct {
	val     []byte
	kind    scalarKind
	number  int64
	content []byte
}

func newNeedle(val []byte) *needle {
	n := &needle{val: val, kind: kindOf(val)}
	switch n.kind {
	case scalarInt:
		n.number = intOf(val)
	case scalarStr, scalarBytes:
		n.content = contentOf(val)
	}
	return n
}

// matches tells whether the element equals the needle.
func (n *needle) matches(elem []byte) bool {
	if n.kind == scalarOther {
		return value.Equal(elem, n.val)
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

// find returns the place of the first element from i up to j that matches, -1 if there is none.
func (n *needle) find(r *rope.Root, i, j int) int {
	for at, elem := range r.Range(i, j) {
		if n.matches(elem) {
			return at
		}
	}
	return -1
}

// count returns how many elements from i up to j match.
func (n *needle) count(r *rope.Root, i, j int) (count int) {
	for _, elem := range r.Range(i, j) {
		if n.matches(elem) {
			count++
		}
	}
	return count
}

// searchRange resolves start and stop of list.index. It is empty, or lies in the list.
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

// notInList returns the error of a search for val by list.index.
func notInList(val []byte) error {
	repr, err := value.Repr(val)
	if err != nil {
		return err
	}
	return &value.Error{Kind: value.ValueError, Msg: repr + " is not in list"}
}

// Contains tells whether an element equals val. Errors: ErrLong for an inline call if it is not among the first InlineElements and there are more.
func (l *List) Contains(c *Call, val []byte) (bool, error) {
	i, err := l.search(c, val, nil, nil)
	return i >= 0, err
}

// Index returns the place of the first element from start up to stop that equals val. Errors: ValueError if there is none; ErrLong for an
// inline call as Contains.
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

// search returns the place of the first element from start up to stop that equals val, -1 if there is none.
func (l *List) search(c *Call, val []byte, start, stop *int64) (int, error) {
	if err := l.lockToRead(c); err != nil {
		return -1, err
	}
	n := newNeedle(val)
	from, to := searchRange(l.rope.Len(), start, stop)
	near := min(to, from+InlineElements)
	if i := n.find(&l.rope.Root, from, near); i >= 0 || near == to {
		l.mu.Unlock()
		return i, nil
	}
	if !c.Beside {
		l.mu.Unlock()
		return -1, ErrLong
	}
	root := l.freeze()
	l.mu.Unlock()
	return n.find(root, near, to), nil
}

// Count returns how many elements equal val. Errors: ErrLong for an inline call on more than InlineElements.
func (l *List) Count(c *Call, val []byte) (int, error) {
	if err := l.lockToRead(c); err != nil {
		return 0, err
	}
	length := l.rope.Len()
	switch {
	case length <= InlineElements:
		defer l.mu.Unlock()
		return newNeedle(val).count(&l.rope.Root, 0, length), nil
	case !c.Beside:
		l.mu.Unlock()
		return 0, ErrLong
	}
	root := l.freeze()
	l.mu.Unlock()
	return newNeedle(val).count(root, 0, length), nil
}

// Remove takes the first element out that equals val. Errors: ValueError if there is none; ErrLong for an inline call as Contains.
func (l *List) Remove(c *Call, val []byte) error {
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	n := newNeedle(val)
	length := l.rope.Len()
	near := min(length, InlineElements)
	if i := n.find(&l.rope.Root, 0, near); i >= 0 {
		l.change(c, 1)
		l.rope.Delete(i)
		l.unlockChanged()
		return nil
	}
	l.mu.Unlock()
	switch {
	case near == length:
		return errRemove
	case !c.Beside:
		return ErrLong
	}
	return l.rewrite(c, func(old *rope.Root) (*rope.Rope, int, error) {
		i := n.find(old, 0, old.Len())
		if i < 0 {
			return nil, 0, errRemove
		}
		next := old.Thaw()
		next.Delete(i)
		return next, 1, nil
	})
}
