package rope

import "slices"

const (
	fanout  = 64         // most children of an inner node
	minKids = fanout / 4 // fewest, unless it is the root
	spare   = 2          // more children before an inner node is split
)

// owner is the token of a rope; see Freeze. It is not empty, so that two of them never share an
// address.
type owner struct{ _ byte }

// node is a leaf or an inner node, which its height decides.
type node struct {
	owner *owner
	n     int // elements below
	bytes int // their packed bytes

	// inner node
	kids   []*node
	counts []int // counts[k] = kids[k].n, so that a search reads one node per level

	// leaf
	buf []byte
	off []uint16 // element i is buf[off[lo+i]:off[lo+i+1]]; nil: buf is one oversized element
	lo  int
}

func newInner(o *owner, kids ...*node) *node {
	n := &node{owner: o, kids: make([]*node, 0, fanout+spare), counts: make([]int, 0, fanout+spare)}
	n.append(kids...)
	return n
}

// append adds children and their counts.
func (n *node) append(kids ...*node) {
	for _, kid := range kids {
		n.kids = append(n.kids, kid)
		n.counts = append(n.counts, kid.n)
		n.n += kid.n
		n.bytes += kid.bytes
	}
}

// own returns n if it belongs to o, otherwise a copy that does.
func (o *owner) own(n *node) *node {
	if n.owner == o {
		return n
	}
	c := *n
	c.owner = o
	switch {
	case n.kids != nil:
		c.kids = append(make([]*node, 0, fanout+spare), n.kids...)
		c.counts = append(make([]int, 0, fanout+spare), n.counts...)
	case n.off != nil:
		c.buf = make([]byte, len(n.buf), cap(n.buf))
		copy(c.buf[n.off[n.lo]:], n.packed(0, n.n))
		c.off = make([]uint16, len(n.off), cap(n.off))
		copy(c.off[n.lo:], n.off[n.lo:])
	}
	return &c
}

// ownKid makes child k the owner's and returns it.
func (o *owner) ownKid(n *node, k int) *node {
	kid := o.own(n.kids[k])
	n.kids[k] = kid
	return kid
}

// find returns the child that holds element i, and its index there. For i = n.n that is the end of
// the last child.
func (n *node) find(i int) (kid, at int) {
	for k, c := range n.counts {
		if i < c {
			return k, i
		}
		i -= c
	}
	k := len(n.counts) - 1
	return k, i + n.counts[k]
}

// setKids replaces child k, which had the given elements and bytes, by kids; nil ones are skipped.
func (n *node) setKids(k, elements, bytes int, kids ...*node) {
	n.n -= elements
	n.bytes -= bytes
	n.kids = slices.Delete(n.kids, k, k+1)
	n.counts = slices.Delete(n.counts, k, k+1)
	for _, kid := range kids {
		if kid != nil {
			n.insertKid(k, kid)
			k++
		}
	}
}

func (n *node) insertKid(k int, kid *node) {
	n.kids = slices.Insert(n.kids, k, kid)
	n.counts = slices.Insert(n.counts, k, kid.n)
	n.n += kid.n
	n.bytes += kid.bytes
}

func (n *node) removeKid(k int) {
	n.n -= n.kids[k].n
	n.bytes -= n.kids[k].bytes
	n.kids = slices.Delete(n.kids, k, k+1)
	n.counts = slices.Delete(n.counts, k, k+1)
}

// split halves an inner node that has too many children and returns its new right neighbour,
// otherwise nil.
func (o *owner) split(n *node) *node {
	if len(n.kids) <= fanout {
		return nil
	}
	half := len(n.kids) / 2
	right := newInner(o, n.kids[half:]...)
	clear(n.kids[half:])
	n.kids, n.counts = n.kids[:half], n.counts[:half]
	n.n -= right.n
	n.bytes -= right.bytes
	return right
}

// mergeOrShare merges two neighbours of one height if they fit. Otherwise it shares their children
// evenly if they are inner nodes and one has too few. A nil b means that they were merged. Both are
// the owner's.
func (o *owner) mergeOrShare(a, b *node, height, quarters int) (*node, *node) {
	if height == 0 {
		if !joins(a, b, quarters) {
			return a, b
		}
		a.absorb(b)
		return a, nil
	}
	if len(a.kids)+len(b.kids) <= fanout {
		a.append(b.kids...)
		return a, nil
	}
	if min(len(a.kids), len(b.kids)) >= minKids {
		return a, b
	}
	kids := slices.Concat(a.kids, b.kids)
	return newInner(o, kids[:len(kids)/2]...), newInner(o, kids[len(kids)/2:]...)
}

// rebalance restores the fill of child k of n after a removal. An empty leaf is removed; a small
// one is merged with a neighbour if a quarter of a leaf stays free; an inner node with too few
// children merges or shares.
func (o *owner) rebalance(n *node, k, height int) {
	kid := n.kids[k]
	if height == 1 {
		if kid.n == 0 {
			n.removeKid(k)
			return
		}
		if kid.bytes >= LeafBytes/2 || kid.n >= leafElements/2 {
			return
		}
		switch {
		case k+1 < len(n.kids) && joins(kid, n.kids[k+1], 3):
		case k > 0 && joins(n.kids[k-1], kid, 3):
			k--
		default:
			return
		}
	} else {
		if len(kid.kids) >= minKids || len(n.kids) == 1 {
			return
		}
		if k == len(n.kids)-1 {
			k--
		}
	}
	a, b := o.mergeOrShare(o.ownKid(n, k), o.ownKid(n, k+1), height-1, 3)
	n.kids[k], n.counts[k] = a, a.n
	if b != nil {
		n.kids[k+1], n.counts[k+1] = b, b.n
		return
	}
	n.kids = slices.Delete(n.kids, k+1, k+2)
	n.counts = slices.Delete(n.counts, k+1, k+2)
}
