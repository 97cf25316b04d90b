package shardmap

import (
	"bytes"

	"cyberdb-fast/shardmap/rope"
)

// place returns the place of index i in a list of n elements; false: there is none.
func place(i int64, n int) (int, bool) {
	if i < 0 {
		i += int64(n)
	}
	return int(i), i >= 0 && i < int64(n)
}

// Get appends element i to dst. Errors: IndexError; ErrLong for an inline call if the element has
// more than InlineBytes.
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
	c.unlock() // a large element is never written again
	if len(elem) > InlineBytes && !c.MayBlock {
		return dst, ErrLong
	}
	return append(dst, elem...), nil
}

// copyLarge returns a large element as one that the rope may keep: a copy, made before the lock is
// taken.
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
	l.unlockChanged(c)
	return nil
}

// Append puts val at the end.
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

// Insert puts val before element i, at the nearest end if there is none.
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
	l.unlockChanged(c)
	return nil
}

// Delete takes element i out. Errors: IndexError.
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
	l.unlockChanged(c)
	return nil
}

// Pop takes element i out and appends it to dst. Errors: IndexError; ErrLong as Get.
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
	if len(elem) <= rope.LeafBytes {
		dst, elem = append(dst, elem...), nil
	}
	l.rope.Delete(at)
	l.unlockChanged(c)
	return append(dst, elem...), nil // a large element is never written again
}

// Extend puts n packed elements at the end and draws n numbers. Errors: ErrLong for an inline call
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

// Clear takes everything out.
func (l *List) Clear(c *Call) error {
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	if l.rope.Len() > 0 {
		l.beginChange(c, 1)
		l.rope.Clear()
	}
	l.unlockChanged(c)
	return nil
}

// checkWritable is a write that changes nothing: it ends with the errors of one.
func (l *List) checkWritable(c *Call) error {
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	c.unlock()
	return nil
}
