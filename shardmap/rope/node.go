package rope

import "slices"

const (
	fanout  = 64         // the most children of an inner node
	minKids = fanout / 4 // the fewest, unless it is the root
	spare   = 2          // children that may be added before an inner node is split
)

// owner is the token of a rope; see Freeze. It has a size, so that two of them never share an
// address.
type owner struct{ _ byte }

// node is a leaf or an inner node; its height says which.
type node struct {
	owner *owner
	n     int // elements below
	bytes int // their packed bytes

	// inner node
	kids   []*node
	counts []int // counts[k] = kids[k].n, here so that a search touches one node a level

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

// append adds children and what they hold.
func (n *node) append(kids ...*node) {
	for _, kid := range kids {
		n.kids = append(n.kids, kid)
		n.counts = append(n.counts, kid.n)
		n.n += kid.n
		n.bytes += kid.bytes
	}
}

// own returns n if it belongs to o, else a copy that does.
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

// find returns the child that holds element i, and its index there; i = n.n is behind the last
// child's last element.
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

// setKids puts kids (nil ones left out) in the place of child k, which held n elements of so many
// bytes.
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

// split halves an inner node that has too many children and returns its new right neighbour, or nil
// if it has not.
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

// mergeOrShare makes two neighbours of one height into one if they fit, else (inner nodes) shares their
// children evenly if one has too few; b is nil if it went into a. Both are the owner's.
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

// rebalance restores the fill of child k of n, from which something was taken: an empty leaf goes, one
// that is small is merged with a neighbour when the two leave a quarter of a leaf free, an inner
// node that has too few children merges or shares.
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
