package rope

// fits reports whether one more element of size bytes fits in the leaf.
func (n *node) fits(size int) bool {
	return n.off != nil && n.n < leafElements && n.bytes+size <= LeafBytes
}

// roomBehind and roomBefore report whether it fits on that side without moving elements.
func (n *node) roomBehind(size int) bool {
	return len(n.buf)+size <= cap(n.buf) && len(n.off) < cap(n.off)
}

func (n *node) roomBefore(size int) bool { return n.lo > 0 && int(n.off[n.lo]) >= size }

// relayout moves the elements to a buffer and an offset table of these capacities, with the free
// space on one side.
func (n *node) relayout(capBytes, capElements int, before bool) {
	buf, off := n.buf[:cap(n.buf)], n.off[:cap(n.off)]
	if capBytes != len(buf) {
		buf = make([]byte, capBytes)
	}
	if capElements+1 != len(off) {
		off = make([]uint16, capElements+1)
	}
	start, lo := 0, 0
	if before {
		start, lo = len(buf)-n.bytes, len(off)-n.n-1
	}
	was := n.off[n.lo]
	copy(buf[start:], n.buf[was:])
	copy(off[lo:], n.off[n.lo:])
	n.buf, n.off, n.lo = buf[:start+n.bytes], off[:lo+n.n+1], lo
	if delta := uint16(start) - was; delta != 0 {
		shift(n.off[lo:], delta)
	}
}

// shift adds delta, modulo 2^16, to each offset.
func shift(off []uint16, delta uint16) {
	for i := range off {
		off[i] += delta
	}
}

// grow makes room for more elements of size bytes in all, which must fit. It moves the elements
// within the buffer if a quarter would stay free, or if no larger buffer is allowed; otherwise it
// allocates.
func (n *node) grow(elements, size int, before bool) {
	n.relayout(grown(cap(n.buf), n.bytes+size, minLeafBytes, LeafBytes),
		grown(cap(n.off)-1, n.n+elements, minLeafElements, leafElements), before)
}

func grown(now, need, least, most int) int {
	if need <= now-now/4 || (now == most && need <= now) {
		return now
	}
	return min(max(need+need/2, least), most)
}

// shrink frees memory once the elements fill less than 1/share of the buffer.
func (n *node) shrink(share int) {
	if n.off == nil {
		return
	}
	capBytes, capElements := cap(n.buf), cap(n.off)-1
	if capBytes > minLeafBytes && n.bytes < capBytes/share {
		capBytes = max(n.bytes+n.bytes/4, minLeafBytes)
	}
	if capElements > minLeafElements && n.n < capElements/share {
		capElements = max(n.n+n.n/4, minLeafElements)
	}
	if capBytes != cap(n.buf) || capElements != cap(n.off)-1 {
		n.relayout(capBytes, capElements, false)
	}
}

// full reports whether a push that lacks space must fail: no larger buffer is allowed, and too
// little is free at the other end for moving the elements to pay.
func (n *node) full(shortOfBytes, shortOfOffsets bool, size int) bool {
	return n.n > 0 && (shortOfBytes && cap(n.buf) == LeafBytes && n.bytes+size > LeafBytes*3/4 ||
		shortOfOffsets && cap(n.off) == leafElements+1 && n.n >= leafElements*3/4)
}
