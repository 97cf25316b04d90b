package shardmap

import (
	"bytes"

	"cyberdb-fast/shardmap/rope"
)

// place returns the position of index i in a list of n elements. It returns false if there is none.
func place(i int64, n int) (int, bool) {
	if i < 0 {
		i += int64(n)
	}
	return int(i), i >= 0 && i < int64(n)
}

// Get appends element i to dst. Errors: IndexError; ErrLong for an inline call if the element is
// larger than InlineBytes.
func (l *List) Get(c *Call, dst []byte, i int64) ([]byte, error) {
	if err := l.lockToRead(c); err != nil {
		return dst, err
	}
	at, ok := place(i, l.rope.Len())
	if !ok {
		c.unlock()
		return dst, errIndex
	}
	elem := l.rope.Get(at)
	if len(elem) <= rope.LeafBytes {
		dst = append(dst, elem...)
		c.unlock()
		return dst, nil
	}
	c.unlock() // a large element is immutable
	if len(elem) > InlineBytes && !c.MayBlock {
		return dst, ErrLong
	}
	return append(dst, elem...), nil
}

// copyLarge returns a copy of a large element, for the rope to keep, and a small one itself: the
// rope copies it. Copying happens before the lock is taken.
func copyLarge(val []byte) []byte {
	if len(val) > rope.LeafBytes {
		return bytes.Clone(val)
	}
	return val
}

// Set changes element i. Errors: IndexError.
func (l *List) Set(c *Call, i int64, val []byte) error {
	val = copyLarge(val)
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	at, ok := place(i, l.rope.Len())
	if !ok {
		c.unlock()
		return errAssign
	}
	l.beginChange(c, 1)
	l.rope.SetOwned(at, val)
	l.countReplaced(at)
	l.unlockChanged(c)
	return nil
}

// Append adds val at the end.
func (l *List) Append(c *Call, val []byte) error {
	val = copyLarge(val)
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	l.beginChange(c, 1)
	l.rope.AppendOwned(val)
	l.unlockChanged(c)
	return nil
}

// Insert inserts val before element i, or at the nearest end if there is no element i.
func (l *List) Insert(c *Call, i int64, val []byte) error {
	val = copyLarge(val)
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	n := int64(l.rope.Len())
	if i < 0 {
		i = max(i+n, 0)
	}
	l.beginChange(c, 1)
	l.rope.InsertOwned(int(min(i, n)), val)
	l.countInserted(int(min(i, n)))
	l.unlockChanged(c)
	return nil
}

// Delete removes element i. Errors: IndexError.
func (l *List) Delete(c *Call, i int64) error {
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	at, ok := place(i, l.rope.Len())
	if !ok {
		c.unlock()
		return errAssign
	}
	l.beginChange(c, 1)
	l.rope.Delete(at)
	l.countRemoved(at)
	l.unlockChanged(c)
	return nil
}

// Pop removes element i and appends it to dst. Errors: IndexError; ErrLong as Get.
func (l *List) Pop(c *Call, dst []byte, i int64) ([]byte, error) {
	if err := l.lockToWrite(c); err != nil {
		return dst, err
	}
	n := l.rope.Len()
	at, ok := place(i, n)
	if !ok {
		c.unlock()
		if n == 0 {
			return dst, errPopEmpty
		}
		return dst, errPop
	}
	elem := l.rope.Get(at)
	if len(elem) > InlineBytes && !c.MayBlock {
		c.unlock()
		return dst, ErrLong
	}
	l.beginChange(c, 1)
	return l.takeOut(c, dst, at, elem), nil
}

// takeOut removes element at, elem, and appends it to dst. It unlocks the mutex.
func (l *List) takeOut(c *Call, dst []byte, at int, elem []byte) []byte {
	if len(elem) <= rope.LeafBytes {
		dst, elem = append(dst, elem...), nil
	}
	l.rope.Delete(at)
	l.countRemoved(at)
	l.unlockChanged(c)
	return append(dst, elem...) // a large element is immutable
}

// Extend adds n packed elements at the end and takes n LSNs. Errors: ErrLong for an inline call
// with more than InlineElements or InlineBytes.
func (l *List) Extend(c *Call, packed []byte, n int) error {
	switch {
	case (n > InlineElements || len(packed) > InlineBytes) && !c.MayBlock:
		return ErrLong
	case n == 0:
		return l.checkWritable(c)
	}
	return l.edit(
		c,
		n > InlineElements || len(packed) > InlineBytes,
		n,
		func(r *rope.Rope) { r.AppendPacked(packed, n) },
	)
}

// Clear removes all elements.
func (l *List) Clear(c *Call) error {
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	if l.rope.Len() > 0 {
		l.beginChange(c, 1)
		l.rope.Clear()
		l.forgetCounts(0)
	}
	l.unlockChanged(c)
	return nil
}

// checkWritable returns the errors of a write that changes nothing.
func (l *List) checkWritable(c *Call) error {
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	c.unlock()
	return nil
}
