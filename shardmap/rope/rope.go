package rope

import (
	"slices"

	"cyberdb-fast/codec/value"
)

// Rope is a sequence that can be changed. The zero Rope is empty and ready to use.
type Rope struct {
	Root
	owner *owner
}

// Freeze returns the current sequence in O(1). It never changes.
func (r *Rope) Freeze() *Root {
	frozen := r.Root
	r.owner = new(owner)
	return &frozen
}

// Thaw returns a Rope that starts as a copy of r. It is O(1).
func (r *Root) Thaw() *Rope { return &Rope{Root: *r, owner: new(owner)} }

// Clear removes all elements.
func (r *Rope) Clear() { r.Root = Root{} }

// copyLarge returns an element of the caller's as one that the rope may retain. It copies a large
// one; the leaf of a small one copies it.
func copyLarge(elem []byte) []byte {
	if len(elem) > LeafBytes {
		return slices.Clone(elem)
	}
	return elem
}

// Append adds an element at the end. Like all methods except those named Owned, it copies its
// argument.
func (r *Rope) Append(elem []byte) { r.AppendOwned(copyLarge(elem)) }

// AppendOwned is Append for an element that never changes: one larger than LeafBytes is retained
// without a copy. Elements that a Root returns qualify.
func (r *Rope) AppendOwned(elem []byte) {
	if r.tail == nil || r.tail.n == 0 {
		r.openTail()
	}
	r.tail = r.owner.own(r.tail)
	if r.tail.pushBack(elem) {
		return
	}
	r.closeTail()
	if len(elem) > LeafBytes {
		r.mid = r.owner.join(r.mid, tree{root: newBigLeaf(r.owner, elem)})
		return
	}
	r.tail.pushBack(elem)
}

// Prepend adds an element at the front.
func (r *Rope) Prepend(elem []byte) { r.prependOwned(copyLarge(elem)) }

func (r *Rope) prependOwned(elem []byte) {
	if r.head == nil || r.head.n == 0 {
		r.openHead()
	}
	r.head = r.owner.own(r.head)
	if r.head.pushFront(elem) {
		return
	}
	r.closeHead()
	if len(elem) > LeafBytes {
		r.mid = r.owner.join(tree{root: newBigLeaf(r.owner, elem)}, r.mid)
		return
	}
	r.head.pushFront(elem)
}

// openTail makes the tail a leaf to append to: the tree's last leaf if that is less than half full,
// else the empty tail, else a new leaf.
func (r *Rope) openTail() {
	if r.mid.root != nil && r.mid.edge(true).halfEmpty() {
		r.tail, r.mid = r.owner.takeEdge(r.mid, true)
	} else if r.tail == nil {
		r.tail = newLeaf(r.owner, minLeafBytes, minLeafElements)
	}
}

func (r *Rope) openHead() {
	if r.mid.root != nil && r.mid.edge(false).halfEmpty() {
		r.head, r.mid = r.owner.takeEdge(r.mid, false)
	} else if r.head == nil {
		r.head = newLeaf(r.owner, minLeafBytes, minLeafElements)
	}
}

func (n *node) halfEmpty() bool {
	return n.off != nil && n.bytes < LeafBytes/2 && n.n < leafElements/2
}

// closeTail moves a full tail into the tree and begins another of the same capacity.
func (r *Rope) closeTail() {
	elements := r.tail.n
	if elements > 0 {
		r.tail.shrink(2)
		r.mid = r.owner.join(r.mid, tree{root: r.tail})
		r.tail = newLeaf(r.owner, LeafBytes, elements+elements/8)
	}
}

func (r *Rope) closeHead() {
	elements := r.head.n
	if elements > 0 {
		r.head.shrink(2)
		r.mid = r.owner.join(tree{root: r.head}, r.mid)
		r.head = newLeaf(r.owner, LeafBytes, elements+elements/8)
	}
}

// mergeEnds moves both ends into the tree.
func (r *Rope) mergeEnds() {
	for _, leaf := range []*node{r.head, r.tail} {
		if leaf != nil && leaf.n > 0 && leaf.owner == r.owner {
			leaf.shrink(2)
		}
	}
	if r.head.len() > 0 {
		r.mid = r.owner.concat(tree{root: r.head}, r.mid)
	}
	if r.tail.len() > 0 {
		r.mid = r.owner.concat(r.mid, tree{root: r.tail})
	}
	r.head, r.tail = nil, nil
}

// AppendPacked adds n packed elements at the end.
func (r *Rope) AppendPacked(packed []byte, n int) {
	for n > 0 {
		if r.tail == nil || r.tail.n == 0 {
			r.openTail()
		}
		r.tail = r.owner.own(r.tail)
		elements, size := r.tail.pushRun(packed, n)
		if elements == 0 {
			elements, size = 1, value.Size(packed)
			r.Append(packed[:size])
		}
		packed, n = packed[size:], n-elements
	}
}

// AppendRoot adds the elements of a frozen sequence at the end, in O(log n): it shares their nodes.
// A sequence may be added to itself, once it is frozen.
func (r *Rope) AppendRoot(o *Root) {
	r.owner = new(owner) // the shared nodes may have the token of this rope
	next := o.Thaw()
	next.mergeEnds()
	r.mergeEnds()
	r.mid = r.owner.concat(r.mid, next.mid)
}

// Insert inserts an element before element i; i may be Len.
func (r *Rope) Insert(i int, elem []byte) { r.InsertOwned(i, copyLarge(elem)) }

// InsertOwned is to Insert what AppendOwned is to Append.
func (r *Rope) InsertOwned(i int, elem []byte) {
	head, mid := r.head.len(), r.mid.len()
	switch {
	case i == head+mid+r.tail.len():
		r.AppendOwned(elem)
	case i == 0:
		r.prependOwned(elem)
	case i < head && r.head.fits(len(elem)):
		r.head = r.owner.own(r.head)
		r.head.insert(i, elem)
	case i < head:
		r.mid = r.owner.insert(r.owner.join(tree{root: r.head}, r.mid), i, elem)
		r.head = nil
	case i <= head+mid && mid > 0:
		r.mid = r.owner.insert(r.mid, i-head, elem)
	case r.tail.fits(len(elem)):
		r.tail = r.owner.own(r.tail)
		r.tail.insert(i-head-mid, elem)
	default:
		r.mid = r.owner.insert(r.owner.join(r.mid, tree{root: r.tail}), i-head, elem)
		r.tail = nil
	}
}

// Set changes element i.
func (r *Rope) Set(i int, elem []byte) { r.SetOwned(i, copyLarge(elem)) }

// SetOwned is to Set what AppendOwned is to Append.
func (r *Rope) SetOwned(i int, elem []byte) {
	head, mid := r.head.len(), r.mid.len()
	switch {
	case i < head:
		if r.head.canSet(i, elem) {
			r.head = r.owner.own(r.head)
			r.head.set(i, elem)
			return
		}
	case i < head+mid:
		if leaf, at := r.mid.leafOf(i - head); leaf.canSet(at, elem) {
			leaf, at = r.owner.edit(&r.mid, i-head, 0, len(elem)-len(leaf.at(at)))
			leaf.set(at, elem)
			return
		}
	default:
		if r.tail.canSet(i-head-mid, elem) {
			r.tail = r.owner.own(r.tail)
			r.tail.set(i-head-mid, elem)
			return
		}
	}
	r.Delete(i)
	r.InsertOwned(i, elem)
}

// Delete removes element i.
func (r *Rope) Delete(i int) {
	if r.head.len() == 0 && r.mid.root != nil && i == 0 {
		r.head, r.mid = r.owner.takeEdge(r.mid, false)
	}
	if r.tail.len() == 0 && r.mid.root != nil && i == r.Len()-1 {
		r.tail, r.mid = r.owner.takeEdge(r.mid, true)
	}
	head, mid := r.head.len(), r.mid.len()
	switch {
	case i < head:
		r.head = r.owner.removeOutside(r.head, i, i+1)
	case i < head+mid:
		r.mid = r.owner.remove(r.mid, i-head)
	default:
		r.tail = r.owner.removeOutside(r.tail, i-head-mid, i-head-mid+1)
	}
}

// removeOutside removes elements i to j of a leaf outside the tree: of the head or the tail.
func (o *owner) removeOutside(leaf *node, i, j int) *node {
	leaf = o.own(leaf)
	leaf.remove(i, j)
	leaf.shrink(4)
	return leaf
}

// DeleteFew is DeleteRange for a few elements. An end of the rope keeps a buffer of at most kept
// bytes, although its elements fill little of it.
func (r *Rope) DeleteFew(i, j, kept int) {
	head, at := r.head.len(), r.head.len()+r.mid.len()
	switch {
	case j <= head && i < j && cap(r.head.buf) <= kept:
		r.head = r.owner.own(r.head)
		r.head.remove(i, j)
	case i >= at && i < j && cap(r.tail.buf) <= kept:
		r.tail = r.owner.own(r.tail)
		r.tail.remove(i-at, j-at)
	default:
		r.DeleteRange(i, j)
	}
}

// fewElements is the most elements for which single steps are faster than splitting and joining the
// tree.
const fewElements = 8

// InsertPacked inserts n packed elements before element i; i may be Len.
func (r *Rope) InsertPacked(i int, packed []byte, n int) {
	switch {
	case i == r.Len():
		r.AppendPacked(packed, n)
	case n <= fewElements:
		for ; n > 0; n-- {
			size := value.Size(packed)
			r.Insert(i, packed[:size])
			packed, i = packed[size:], i+1
		}
	default:
		r.mergeEnds()
		left, right := r.owner.cutAt(r.mid, i)
		r.mid = left
		r.AppendPacked(packed, n)
		r.mergeEnds()
		r.mid = r.owner.concat(r.mid, right)
	}
}

// DeleteRange removes elements i to j.
func (r *Rope) DeleteRange(i, j int) {
	switch {
	case i == j:
	case i == 0 && j == r.Len():
		r.Clear()
	case j <= r.head.len():
		r.head = r.owner.removeOutside(r.head, i, j)
	case i >= r.head.len()+r.mid.len():
		i, j = i-r.head.len()-r.mid.len(), j-r.head.len()-r.mid.len()
		r.tail = r.owner.removeOutside(r.tail, i, j)
	case j-i <= fewElements:
		for ; j > i; j-- {
			r.Delete(i)
		}
	default:
		r.mergeEnds()
		left, rest := r.owner.cutAt(r.mid, i)
		_, right := r.owner.cutAt(rest, j-i)
		r.mid = r.owner.concat(left, right)
	}
}
