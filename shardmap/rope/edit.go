package rope

// leafOf returns the leaf that holds element i, and its index there.
func (t tree) leafOf(i int) (*node, int) {
	n := t.root
	for h := t.height; h > 0; h-- {
		var k int
		k, i = n.find(i)
		n = n.kids[k]
	}
	return n, i
}

// edit makes the path to element i the owner's. It returns the leaf, and adds to all counts on the
// way what the caller is about to add to the leaf.
func (o *owner) edit(t *tree, i, elements, bytes int) (*node, int) {
	t.root = o.own(t.root)
	n := t.root
	for h := t.height; h > 0; h-- {
		n.n += elements
		n.bytes += bytes
		k, at := n.find(i)
		n.counts[k] += elements
		n, i = o.ownKid(n, k), at
	}
	return n, i
}

// insert inserts an element before element i of a tree; i may be the length.
func (o *owner) insert(t tree, i int, elem []byte) tree {
	if t.root == nil {
		return tree{root: o.leafFor(elem)}
	}
	if leaf, _ := t.leafOf(i); leaf.fits(len(elem)) {
		leaf, at := o.edit(&t, i, 1, len(elem))
		leaf.insert(at, elem)
		return t
	}
	parts := o.insertFull(t.root, t.height, i, elem)
	return t.withParts(o, parts[:]...)
}

// insertFull inserts where the leaf is full. It returns up to three nodes that replace n.
func (o *owner) insertFull(n *node, height, i int, elem []byte) [3]*node {
	if height == 0 {
		return o.splitLeaf(n, i, elem)
	}
	n = o.own(n)
	k, at := n.find(i)
	was := n.kids[k]
	elements, bytes := was.n, was.bytes
	parts := o.insertFull(was, height-1, at, elem)
	n.setKids(k, elements, bytes, parts[:]...)
	return [3]*node{n, o.split(n)}
}

// splitLeaf splits a leaf to insert an element that does not fit. It makes halves if the element
// then fits, so that consecutive inserts fill leaves; otherwise it makes two or three leaves around
// the element.
func (o *owner) splitLeaf(n *node, i int, elem []byte) [3]*node {
	half := n.half()
	if i < half && n.partFits(0, half, elem) || i >= half && n.partFits(half, n.n, elem) {
		a, b := n.cut(o, 0, half), n.cut(o, half, n.n)
		if i < half {
			a.insert(i, elem)
		} else {
			b.insert(i-half, elem)
		}
		return [3]*node{a, b}
	}
	switch i {
	case 0:
		return [3]*node{o.leafFor(elem), n}
	case n.n:
		return [3]*node{n, o.leafFor(elem)}
	}
	a, b := n.cut(o, 0, i), n.cut(o, i, n.n)
	switch {
	case a.pushBack(elem):
		return [3]*node{a, b}
	case b.fits(len(elem)):
		b.insert(0, elem)
		return [3]*node{a, b}
	}
	return [3]*node{a, o.leafFor(elem), b}
}

// half returns the element that splits a leaf into two of about the same size.
func (n *node) half() int {
	if n.off == nil {
		return 0
	}
	lo, hi := 0, n.n
	for lo < hi {
		mid := (lo + hi) / 2
		if int(n.off[n.lo+mid]-n.off[n.lo]) < n.bytes/2 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// partFits reports whether elements i to j and one more fit in a leaf.
func (n *node) partFits(i, j int, elem []byte) bool {
	return n.off != nil && i < j && j-i < leafElements && len(n.packed(i, j))+len(elem) <= LeafBytes
}

// leafFor returns a new leaf of one element.
func (o *owner) leafFor(elem []byte) *node {
	if len(elem) > LeafBytes {
		return newBigLeaf(o, elem)
	}
	leaf := newLeaf(o, len(elem), 1)
	leaf.pushBack(elem)
	return leaf
}

// remove removes element i of a tree.
func (o *owner) remove(t tree, i int) tree {
	leaf, at := t.leafOf(i)
	size := len(leaf.at(at))
	if t.height == 0 || leaf.bytes-size >= LeafBytes/2 {
		leaf, at = o.edit(&t, i, -1, -size)
		leaf.remove(at, at+1)
		leaf.shrink(2)
		return t.trimRoot()
	}
	t.root = o.own(t.root)
	o.removeSmall(t.root, t.height, i, size)
	return t.trimRoot()
}

// removeSmall removes where the leaf may have to be merged with a neighbour; n is the owner's.
func (o *owner) removeSmall(n *node, height, i, size int) {
	if height == 0 {
		n.remove(i, i+1)
		n.shrink(2)
		return
	}
	k, at := n.find(i)
	o.removeSmall(o.ownKid(n, k), height-1, at, size)
	n.counts[k]--
	n.n--
	n.bytes -= size
	o.rebalance(n, k, height)
}
