package rope

import (
	"slices"

	"cyberdb-fast/codec/value"
)

const (
	// LeafBytes is the most bytes of packed elements in a leaf; a larger element has a leaf of its
	// own.
	LeafBytes = 4096
	// leafElements bounds the offsets that an insert has to move.
	leafElements = 1024

	minLeafBytes    = 64 // the smallest buffer and offset table
	minLeafElements = 8
)

// newLeaf returns an empty leaf with capacity for so many bytes and elements.
func newLeaf(o *owner, capBytes, capElements int) *node {
	capBytes = min(max(capBytes, minLeafBytes), LeafBytes)
	capElements = min(max(capElements, minLeafElements), leafElements)
	return &node{owner: o, buf: make([]byte, 0, capBytes), off: make([]uint16, 1, capElements+1)}
}

// newBigLeaf returns a leaf of one element larger than LeafBytes, which it retains. It has no
// offsets.
func newBigLeaf(o *owner, elem []byte) *node {
	return &node{owner: o, n: 1, bytes: len(elem), buf: elem}
}

// at returns element i of the leaf.
func (n *node) at(i int) []byte {
	if n.off == nil {
		return n.buf
	}
	at := n.off[n.lo+i : n.lo+i+2]
	return n.buf[at[0]:at[1]:at[1]]
}

// packed returns elements i to j of the leaf.
func (n *node) packed(i, j int) []byte {
	if n.off == nil {
		return n.buf
	}
	return n.buf[n.off[n.lo+i]:n.off[n.lo+j]]
}

// pushBack appends an element. It returns false if the leaf is full.
func (n *node) pushBack(elem []byte) bool {
	if !n.fits(len(elem)) {
		return false
	}
	if !n.roomBehind(len(elem)) {
		if n.full(len(n.buf)+len(elem) > cap(n.buf), len(n.off) == cap(n.off), len(elem)) {
			return false
		}
		n.grow(1, len(elem), false)
	}
	n.buf = append(n.buf, elem...)
	n.off = append(n.off, uint16(len(n.buf)))
	n.n++
	n.bytes += len(elem)
	return true
}

// pushFront prepends an element. It returns false if the leaf is full.
func (n *node) pushFront(elem []byte) bool {
	if !n.fits(len(elem)) {
		return false
	}
	if !n.roomBefore(len(elem)) {
		if n.full(int(n.off[n.lo]) < len(elem), n.lo == 0, len(elem)) {
			return false
		}
		n.grow(1, len(elem), true)
	}
	at := int(n.off[n.lo]) - len(elem)
	copy(n.buf[at:], elem)
	n.lo--
	n.off[n.lo] = uint16(at)
	n.n++
	n.bytes += len(elem)
	return true
}

// pushRun appends as many of the count elements in packed as fit, and returns how many elements and
// bytes that were.
func (n *node) pushRun(packed []byte, count int) (elements, size int) {
	if n.off == nil {
		return 0, 0
	}
	var ends [leafElements]uint16
	count = min(count, leafElements-n.n)
	for elements < count {
		s := size + value.Size(packed[size:])
		if n.bytes+s > LeafBytes {
			break
		}
		size = s
		ends[elements] = uint16(size)
		elements++
	}
	if elements == 0 {
		return 0, 0
	}
	if len(n.buf)+size > cap(n.buf) || len(n.off)+elements > cap(n.off) {
		n.grow(elements, size, false)
	}
	at, delta := len(n.off), uint16(len(n.buf))
	n.buf = append(n.buf, packed[:size]...)
	n.off = append(n.off, ends[:elements]...)
	shift(n.off[at:], delta)
	n.n += elements
	n.bytes += size
	return elements, size
}

// insert inserts an element, which must fit, before element i.
func (n *node) insert(i int, elem []byte) {
	size := len(elem)
	if i == 0 && n.roomBefore(size) {
		n.pushFront(elem)
		return
	}
	if !n.roomBehind(size) {
		n.grow(1, size, false)
	}
	at := n.lo + i
	pos, end := int(n.off[at]), len(n.buf)
	n.buf = n.buf[:end+size]
	copy(n.buf[pos+size:], n.buf[pos:end])
	copy(n.buf[pos:], elem)
	n.off = n.off[:len(n.off)+1]
	copy(n.off[at+1:], n.off[at:])
	shift(n.off[at+1:], uint16(size))
	n.n++
	n.bytes += size
}

// remove removes elements i to j. The caller shrinks the leaf if it wants to.
func (n *node) remove(i, j int) {
	if n.off == nil {
		n.buf, n.off, n.n, n.bytes = nil, make([]uint16, 1), 0, 0
		return
	}
	from, to := n.off[n.lo+i], n.off[n.lo+j]
	switch {
	case j == n.n:
		n.buf, n.off = n.buf[:from], n.off[:n.lo+i+1]
	case i == 0:
		n.lo += j
	default:
		n.buf = slices.Delete(n.buf, int(from), int(to))
		n.off = slices.Delete(n.off, n.lo+i+1, n.lo+j+1)
		shift(n.off[n.lo+i+1:], from-to)
	}
	n.n -= j - i
	n.bytes -= int(to - from)
}

// replace changes element i. The new size must fit.
func (n *node) replace(i int, elem []byte) {
	from, to := int(n.off[n.lo+i]), int(n.off[n.lo+i+1])
	delta := len(elem) - (to - from)
	if delta > 0 && len(n.buf)+delta > cap(n.buf) {
		n.grow(0, delta, false)
		from, to = int(n.off[n.lo+i]), int(n.off[n.lo+i+1])
	}
	if delta != 0 {
		end := len(n.buf)
		n.buf = n.buf[:max(end, end+delta)]
		copy(n.buf[to+delta:], n.buf[to:end])
		n.buf = n.buf[:end+delta]
		shift(n.off[n.lo+i+1:], uint16(delta))
		n.bytes += delta
	}
	copy(n.buf[from:], elem)
}

// canSet reports whether element i can be changed to elem within the leaf.
func (n *node) canSet(i int, elem []byte) bool {
	if n.off == nil {
		return len(elem) > LeafBytes
	}
	return n.bytes-len(n.at(i))+len(elem) <= LeafBytes
}

// set changes element i to one for which canSet is true. The buffer of an oversized element may be
// shared, so it is replaced, not overwritten.
func (n *node) set(i int, elem []byte) {
	if n.off == nil {
		n.buf, n.bytes = elem, len(elem)
		return
	}
	n.replace(i, elem)
	n.shrink(2)
}

// cut returns a new leaf of elements i to j of this one, without spare memory.
func (n *node) cut(o *owner, i, j int) *node {
	if n.off == nil {
		// an oversized buffer is immutable, so it is shared
		return &node{owner: o, n: n.n, bytes: n.bytes, buf: n.buf}
	}
	part := n.packed(i, j)
	leaf := newLeaf(o, len(part), j-i)
	leaf.buf = append(leaf.buf, part...)
	leaf.off = append(leaf.off[:0], n.off[n.lo+i:n.lo+j+1]...)
	shift(leaf.off, -leaf.off[0])
	leaf.n, leaf.bytes = j-i, len(part)
	return leaf
}

// joins reports whether two leaves fit into one that is at most quarters/4 full.
func joins(a, b *node, quarters int) bool {
	return a.off != nil && b.off != nil && a.bytes+b.bytes <= LeafBytes/4*quarters && a.n+b.n <= leafElements/4*quarters
}

// absorb appends the elements of b, which fit.
func (n *node) absorb(b *node) {
	if len(n.buf)+b.bytes > cap(n.buf) || len(n.off)+b.n > cap(n.off) {
		n.grow(b.n, b.bytes, false)
	}
	delta := uint16(len(n.buf)) - b.off[b.lo]
	n.buf = append(n.buf, b.packed(0, b.n)...)
	at := len(n.off)
	n.off = append(n.off, b.off[b.lo+1:]...)
	shift(n.off[at:], delta)
	n.n += b.n
	n.bytes += b.bytes
}
