package shardmap

import (
	"fmt"
	"iter"
	"math"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap/rope"
)

// span is a slice of a list of known length: n elements, from the one at from, step apart. It lies
// in the list or is empty; an empty one says where to insert.
type span struct{ from, step, n int }

// newSpan is Python's slice.indices. nil stands for None.
func newSpan(length int, start, stop, step *int64) (span, error) {
	by := int64(1)
	if step != nil {
		by = max(*step, -math.MaxInt64)
	}
	if by == 0 {
		return span{}, errSliceStep
	}
	// limits: first for bounds before the list, last for bounds after it
	first, last := int64(0), int64(length)
	from, to := first, last
	if by < 0 {
		first, last = -1, last-1
		from, to = last, first
	}
	if start != nil {
		from = clamp(*start, int64(length), first, last)
	}
	if stop != nil {
		to = clamp(*stop, int64(length), first, last)
	}
	s := span{from: int(from), step: int(by)}
	switch {
	case by > 0 && from < to:
		s.n = int((to-from-1)/by + 1)
	case by < 0 && to < from:
		s.n = int((from-to-1)/-by + 1)
	}
	return s, nil
}

// clamp resolves one bound of a slice.
func clamp(i, length, first, last int64) int64 {
	if i < 0 {
		return max(i+length, first)
	}
	return min(i, last)
}

// ascending returns the same elements in ascending order.
func (s span) ascending() span {
	if s.step < 0 && s.n > 0 {
		return span{from: s.from + (s.n-1)*s.step, step: -s.step, n: s.n}
	}
	return s
}

// isRun reports whether the elements are adjacent, in either direction.
func (s span) isRun() bool { return s.n <= 1 || s.step == 1 || s.step == -1 }

// bytes returns the sum of the elements' sizes in bytes. It stops counting above most.
func (s span) bytes(r *rope.Root, most int) (sum int) {
	if s.isRun() {
		low := s.ascending().from
		return r.RangeBytes(low, low+s.n, most)
	}
	for elem := range s.values(r) {
		if sum += len(elem); sum > most {
			break
		}
	}
	return sum
}

// isLong reports whether the span is too long for an inline call and for copying under the mutex.
func (s span) isLong(r *rope.Root) bool {
	return s.n > InlineElements || r.Bytes() > InlineBytes && s.bytes(r, InlineBytes) > InlineBytes
}

// append appends the span's elements to dst.
func (s span) append(dst []byte, r *rope.Root) []byte {
	if s.n > 0 && (s.n == 1 || s.step == 1) {
		return r.AppendRange(dst, s.from, s.from+s.n)
	}
	for elem := range s.values(r) {
		dst = append(dst, elem...)
	}
	return dst
}

// values yields the span's elements.
func (s span) values(r *rope.Root) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		switch {
		case s.n == 0:
		case s.step == 1:
			r.Range(s.from, s.from+s.n)(func(_ int, elem []byte) bool { return yield(elem) })
		case s.step == -1:
			r.Backward(s.from-s.n+1, s.from+1)(func(_ int, elem []byte) bool { return yield(elem) })
		default:
			for k := range s.n {
				if !yield(r.Get(s.from + k*s.step)) {
					return
				}
			}
		}
	}
}

// Slice appends the elements of [start:stop:step] to dst and returns their number. Errors:
// ValueError for step 0; ErrLong for an inline call that would copy more than InlineElements or
// InlineBytes.
func (l *List) Slice(c *Call, dst []byte, start, stop, step *int64) ([]byte, int, error) {
	if err := l.lockToRead(c); err != nil {
		return dst, 0, err
	}
	s, err := newSpan(l.rope.Len(), start, stop, step)
	if err != nil {
		c.unlock()
		return dst, 0, err
	}
	switch {
	case !s.isLong(&l.rope.Root):
		c.Cost += copyCost * s.n
		dst = s.append(dst, &l.rope.Root)
		c.unlock()
	case !c.MayBlock:
		c.unlock()
		return dst, 0, ErrLong
	default:
		root := l.freeze().elements
		c.unlock()
		dst = s.append(dst, root)
	}
	return dst, s.n, nil
}

// AppendAll appends all elements to dst and returns their number. Errors: as Slice.
func (l *List) AppendAll(c *Call, dst []byte) ([]byte, int, error) {
	return l.Slice(c, dst, nil, nil, nil)
}

// SetSlice is l[start:stop:step] = n packed elements. It takes n LSNs, or one if n is 0 and it
// removes elements.
//
// Errors: ValueError for step 0, and for a step other than 1 if the slice has not n elements;
// ErrLong for an inline call with more than InlineElements or InlineBytes.
func (l *List) SetSlice(c *Call, start, stop, step *int64, packed []byte, n int) error {
	if n > InlineElements || len(packed) > InlineBytes {
		return l.setLongSlice(c, start, stop, step, packed, n)
	}
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	s, err := newSpan(l.rope.Len(), start, stop, step)
	if err == nil {
		err = s.checkSize(n)
	}
	if k := max(n, min(s.n, 1)); err == nil && k > 0 {
		c.Cost += editCost * n
		l.beginChange(c, k)
		s.set(&l.rope, packed, n)
		l.forgetCounts(s.ascending().from)
	}
	l.unlockChanged(c)
	return err
}

func (l *List) setLongSlice(c *Call, start, stop, step *int64, packed []byte, n int) error {
	if !c.MayBlock {
		return ErrLong
	}
	return l.rewrite(c, func(old *rope.Root) (rewritten, error) {
		s, err := newSpan(old.Len(), start, stop, step)
		if err == nil {
			err = s.checkSize(n)
		}
		if err != nil {
			return rewritten{}, err
		}
		next := old.Thaw()
		s.set(next, packed, n)
		return rewritten{next, n, func() { l.forgetCounts(s.ascending().from) }}, nil
	})
}

// checkSize returns the error of assigning n elements, if there is one.
func (s span) checkSize(n int) error {
	if s.step == 1 || n == s.n {
		return nil
	}
	return &value.Error{
		Kind: value.ValueError,
		Msg:  fmt.Sprintf("attempt to assign sequence of size %d to extended slice of size %d", n, s.n),
	}
}

// fewElements is the most elements that an assignment changes one by one instead of replacing the
// range.
const fewElements = 8

// set assigns n packed elements, which checkSize has accepted.
func (s span) set(r *rope.Rope, packed []byte, n int) {
	if s.step == 1 && (n != s.n || n > fewElements) {
		r.DeleteRange(s.from, s.from+s.n)
		r.InsertPacked(s.from, packed, n)
		return
	}
	for at := s.from; n > 0; n-- {
		size := value.Size(packed)
		r.Set(at, packed[:size])
		packed, at = packed[size:], at+s.step
	}
}

// DelSlice is del l[start:stop:step]. Errors: ValueError for step 0; ErrLong for an inline call
// that would remove more than InlineElements that are not adjacent.
func (l *List) DelSlice(c *Call, start, stop, step *int64) error {
	err := l.deleteShort(c, start, stop, step)
	if err != ErrLong || !c.MayBlock { //nolint:errorlint // not wrapped
		return err
	}
	return l.rewrite(c, func(old *rope.Root) (rewritten, error) {
		s, err := newSpan(old.Len(), start, stop, step)
		if err != nil || s.n == 0 {
			return rewritten{}, err
		}
		next := old.Thaw()
		s.ascending().delete(next)
		return rewritten{next, 1, func() { l.forgetCounts(s.ascending().from) }}, nil
	})
}

// deleteShort is DelSlice under the mutex. Errors: ErrLong if that would take long.
func (l *List) deleteShort(c *Call, start, stop, step *int64) error {
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	s, err := newSpan(l.rope.Len(), start, stop, step)
	switch {
	case err != nil || s.n == 0:
	case !s.isRun() && s.n > InlineElements:
		err = ErrLong
	default:
		if !s.isRun() {
			c.Cost += editCost * s.n
		}
		l.beginChange(c, 1)
		s.ascending().delete(&l.rope)
		l.forgetCounts(s.ascending().from)
	}
	l.unlockChanged(c)
	return err
}

// A deletion with a small step copies the remaining elements, if they are few, instead of deleting
// one by one: denseElements at a time.
const (
	denseStep     = 8
	denseElements = 512
	denseBytes    = 64 << 10
)

// delete removes the elements of an ascending span.
func (s span) delete(r *rope.Rope) {
	if s.isRun() {
		r.DeleteRange(s.from, s.from+s.n)
		return
	}
	for left := s.n; left > 0; {
		n := min(left, denseElements)
		left -= n
		part := span{s.from + left*s.step, s.step, n}
		if end := part.from + (n-1)*s.step + 1; s.step <= denseStep &&
			r.RangeBytes(part.from, end, denseBytes) <= denseBytes {
			part.deleteDense(r, end)
			continue
		}
		for k := n - 1; k >= 0; k-- {
			r.Delete(part.from + k*s.step)
		}
	}
}

// deleteDense replaces the range of an ascending span, which ends at end, by the remaining
// elements.
func (s span) deleteDense(r *rope.Rope, end int) {
	var kept []byte
	for at := s.from; at < end-1; at += s.step {
		kept = r.AppendRange(kept, at+1, at+s.step)
	}
	r.DeleteRange(s.from, end)
	r.InsertPacked(s.from, kept, (s.n-1)*(s.step-1))
}
