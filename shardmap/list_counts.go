package shardmap

import (
	"encoding/binary"

	"cyberdb-fast/shardmap/rope"
)

// queue.counts has an element for each of the first elements of the list: one byte 0, or a number
// of five bytes. So its bytes say whether all are 0. It is never longer than the list, and empty if
// all are 0.

var zeroCount = []byte{0}

func appendCount(dst []byte, n uint32) []byte {
	if n == 0 {
		return append(dst, 0)
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xce), n)
}

func countOf(elem []byte) uint32 {
	if len(elem) == 1 {
		return 0
	}
	return binary.BigEndian.Uint32(elem[1:])
}

// countAt returns how often element i of a list was delivered.
func countAt(counts *rope.Root, i int) uint32 {
	if i >= counts.Len() {
		return 0
	}
	return countOf(counts.Get(i))
}

// countPushed notes an element that was inserted at the front.
func (q *queue) countPushed(n uint32) {
	if n > 0 || q.counts.Len() > 0 {
		q.counts.Prepend(appendCount(nil, n))
	}
}

// countAppended notes element at, which was added at the end.
func (q *queue) countAppended(at int, n uint32) {
	if n == 0 {
		return
	}
	if missing := at - q.counts.Len(); missing > 0 {
		q.counts.AppendRoot(zeroCounts(missing))
	}
	q.counts.Append(appendCount(nil, n))
}

// zeroCounts returns n times 0, in O(log n): halves share their nodes.
func zeroCounts(n int) *rope.Root {
	var r rope.Rope
	if n <= 256 {
		r.AppendPacked(make([]byte, n), n)
		return r.Freeze()
	}
	half := zeroCounts(n / 2)
	r.AppendRoot(half)
	r.AppendRoot(half)
	if n%2 == 1 {
		r.Append(zeroCount)
	}
	return r.Freeze()
}

// settleCounts frees the counts once all are 0.
func (q *queue) settleCounts() {
	if q.counts.Bytes() == q.counts.Len() {
		q.counts.Clear()
	}
}

// The methods of lists note here what they do to elements. Most lists have nothing to note. The
// caller holds mu.

// countInserted notes that element i was inserted.
func (l *List) countInserted(i int) {
	if q := l.queue; q != nil && i < q.counts.Len() {
		q.counts.Insert(i, zeroCount)
	}
}

// countRemoved notes that element i was removed.
func (l *List) countRemoved(i int) {
	if q := l.queue; q != nil && i < q.counts.Len() {
		q.counts.Delete(i)
		q.settleCounts()
	}
}

// countReplaced notes that element i is another one.
func (l *List) countReplaced(i int) {
	if q := l.queue; q != nil && countAt(&q.counts.Root, i) > 0 {
		q.counts.Set(i, zeroCount)
		q.settleCounts()
	}
}

// forgetCounts forgets how often the elements from i on were delivered: many of them have other
// places now.
func (l *List) forgetCounts(i int) {
	if q := l.queue; q != nil && i < q.counts.Len() {
		q.counts.DeleteRange(i, q.counts.Len())
		q.settleCounts()
	}
}
