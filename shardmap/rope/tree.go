package rope

// tree is a rope without its ends. All leaves are height levels below the root; a nil root is the
// empty tree.
type tree struct {
	root   *node
	height int
}

func (t tree) len() int {
	if t.root == nil {
		return 0
	}
	return t.root.n
}

// trimRoot removes a root that is empty or has only one child.
func (t tree) trimRoot() tree {
	for t.root != nil && t.height > 0 && len(t.root.kids) == 1 {
		t = tree{t.root.kids[0], t.height - 1}
	}
	if t.root != nil && t.root.n == 0 {
		return tree{}
	}
	return t
}

// withParts returns the tree of the parts that an insert has made of the root.
func (t tree) withParts(o *owner, parts ...*node) tree {
	kids := parts[:0]
	for _, p := range parts {
		if p != nil {
			kids = append(kids, p)
		}
	}
	if len(kids) == 1 {
		return tree{kids[0], t.height}
	}
	return tree{newInner(o, kids...), t.height + 1}
}

// join returns the tree of a's elements followed by b's. The two leaves that meet stay separate;
// see concat.
func (o *owner) join(a, b tree) tree {
	switch {
	case a.root == nil:
		return b
	case b.root == nil:
		return a
	case a.height >= b.height:
		x, y := o.joinRight(a.root, a.height, b)
		return a.withParts(o, x, y)
	default:
		x, y := o.joinLeft(a, b.root, b.height)
		return b.withParts(o, x, y)
	}
}

// joinRight adds b, which is no higher than n, at the right end of n. The result is one or two
// nodes.
func (o *owner) joinRight(n *node, height int, b tree) (*node, *node) {
	if height == b.height {
		return o.joinNodes(n, b.root, height)
	}
	n = o.own(n)
	k := len(n.kids) - 1
	was := n.kids[k]
	elements, bytes := was.n, was.bytes
	x, y := o.joinRight(was, height-1, b)
	n.setKids(k, elements, bytes, x, y)
	return n, o.split(n)
}

// joinLeft adds a, which is lower than n, at the left end of n.
func (o *owner) joinLeft(a tree, n *node, height int) (*node, *node) {
	if height == a.height {
		return o.joinNodes(a.root, n, height)
	}
	n = o.own(n)
	was := n.kids[0]
	elements, bytes := was.n, was.bytes
	x, y := o.joinLeft(a, was, height-1)
	n.setKids(0, elements, bytes, x, y)
	return n, o.split(n)
}

// joinNodes puts two nodes of one height side by side. Leaves are not merged: a full one that moves
// into the tree must not be copied.
func (o *owner) joinNodes(a, b *node, height int) (*node, *node) {
	if height == 0 {
		return a, b
	}
	return o.mergeOrShare(o.own(a), o.own(b), height, 4)
}

// cutAt returns the trees of the first i elements and of the rest.
func (o *owner) cutAt(t tree, i int) (left, right tree) {
	switch {
	case i <= 0:
		return tree{}, t
	case i >= t.len():
		return t, tree{}
	case t.height == 0:
		return tree{root: t.root.cut(o, 0, i)}, tree{root: t.root.cut(o, i, t.root.n)}
	}
	k, at := t.root.find(i)
	left, right = o.cutAt(tree{t.root.kids[k], t.height - 1}, at)
	return o.join(o.treeOf(t.root.kids[:k], t.height), left), o.join(right, o.treeOf(t.root.kids[k+1:], t.height))
}

// treeOf returns the tree of adjacent nodes, all one level below height.
func (o *owner) treeOf(kids []*node, height int) tree {
	switch len(kids) {
	case 0:
		return tree{}
	case 1:
		return tree{kids[0], height - 1}
	}
	return tree{newInner(o, kids...), height}
}

// concat is join for trees that were cut. It merges the two leaves that meet if they fit, so that
// repeated cuts do not leave tiny leaves.
func (o *owner) concat(a, b tree) tree {
	if a.root == nil || b.root == nil || !joins(a.edge(true), b.edge(false), 4) {
		return o.join(a, b)
	}
	x, a := o.takeEdge(a, true)
	y, b := o.takeEdge(b, false)
	x = o.own(x)
	x.absorb(y)
	return o.join(o.join(a, tree{root: x}), b)
}

// edge returns the first or the last leaf.
func (t tree) edge(last bool) *node {
	n := t.root
	for n.kids != nil {
		n = n.kids[edgeOf(n, last)]
	}
	return n
}

func edgeOf(n *node, last bool) int {
	if last {
		return len(n.kids) - 1
	}
	return 0
}

// takeEdge removes the first or the last leaf of a tree that is not empty.
func (o *owner) takeEdge(t tree, last bool) (leaf *node, rest tree) {
	if t.height == 0 {
		return t.root, tree{}
	}
	root := o.own(t.root)
	leaf = o.takeEdgeOf(root, t.height, last)
	return leaf, tree{root, t.height}.trimRoot()
}

func (o *owner) takeEdgeOf(n *node, height int, last bool) *node {
	k := edgeOf(n, last)
	if height == 1 {
		leaf := n.kids[k]
		n.removeKid(k)
		return leaf
	}
	leaf := o.takeEdgeOf(o.ownKid(n, k), height-1, last)
	n.counts[k] -= leaf.n
	n.n -= leaf.n
	n.bytes -= leaf.bytes
	o.rebalance(n, k, height)
	return leaf
}
