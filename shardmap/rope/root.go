package rope

import "iter"

// Root is a readable sequence: a frozen one, or the current one of a [Rope]. Elements are returned
// as views. Those of a frozen root stay valid; those of a Rope are valid until it is changed.
type Root struct {
	head, tail *node // leaves; nil if never used
	mid        tree
}

func (n *node) len() int {
	if n == nil {
		return 0
	}
	return n.n
}

// Len returns the number of elements.
func (r *Root) Len() int { return r.head.len() + r.mid.len() + r.tail.len() }

// Bytes returns the sum of the elements' sizes in bytes.
func (r *Root) Bytes() int {
	var sum int
	for _, n := range []*node{r.head, r.mid.root, r.tail} {
		if n != nil {
			sum += n.bytes
		}
	}
	return sum
}

// Get returns element i.
func (r *Root) Get(i int) []byte {
	if r.head != nil {
		if i < r.head.n {
			return r.head.at(i)
		}
		i -= r.head.n
	}
	if n := r.mid.root; n != nil {
		if i < n.n {
			for h := r.mid.height; h > 0; h-- {
				k := 0
				for i >= n.counts[k] {
					i -= n.counts[k]
					k++
				}
				n = n.kids[k]
			}
			return n.at(i)
		}
		i -= n.n
	}
	return r.tail.at(i)
}

// AppendRange appends elements i to j, packed, to dst.
func (r *Root) AppendRange(dst []byte, i, j int) []byte {
	r.runs(i, j, func(leaf *node, _, a, b int) bool {
		dst = append(dst, leaf.packed(a, b)...)
		return true
	})
	return dst
}

// RangeBytes returns the sum of the sizes of elements i to j in bytes. It stops counting above
// most.
func (r *Root) RangeBytes(i, j, most int) (sum int) {
	r.runs(i, j, func(leaf *node, _, a, b int) bool {
		sum += len(leaf.packed(a, b))
		return sum <= most
	})
	return sum
}

// Range yields elements i to j with their indexes, in order.
func (r *Root) Range(i, j int) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		r.runs(i, j, func(leaf *node, at, a, b int) bool {
			for k := a; k < b; k++ {
				if !yield(at+k-a, leaf.at(k)) {
					return false
				}
			}
			return true
		})
	}
}

// Backward yields elements j-1 down to i with their indexes.
func (r *Root) Backward(i, j int) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		at := j
		visit := func(leaf *node, a, b int) bool {
			for k := b - 1; k >= a; k-- {
				at--
				if !yield(at, leaf.at(k)) {
					return false
				}
			}
			return true
		}
		head, mid := r.head.len(), r.mid.len()
		if tail := head + mid; j > tail && !visit(r.tail, max(i-tail, 0), j-tail) {
			return
		}
		if r.mid.root != nil && !r.mid.root.backward(max(i-head, 0), min(j-head, mid), visit) {
			return
		}
		if i < head {
			visit(r.head, i, min(j, head))
		}
	}
}

func (n *node) backward(i, j int, visit func(leaf *node, a, b int) bool) bool {
	if i >= j {
		return true
	}
	if n.kids == nil {
		return visit(n, i, j)
	}
	from := n.n
	for k := len(n.kids) - 1; k >= 0 && from > i; k-- {
		from -= n.counts[k]
		if !n.kids[k].backward(max(i-from, 0), min(j-from, n.counts[k]), visit) {
			return false
		}
	}
	return true
}

// runs calls visit for the part of each leaf that is in elements i to j, until visit returns false.
// The part is elements a to b of the leaf; the first one is element at of the sequence.
func (r *Root) runs(i, j int, visit func(leaf *node, at, a, b int) bool) {
	from := 0
	part := func(n *node) bool {
		if n == nil {
			return true
		}
		more := n.forward(from, max(i-from, 0), min(j-from, n.n), visit)
		from += n.n
		return more
	}
	_ = part(r.head) && part(r.mid.root) && part(r.tail)
}

// forward visits the leaves of elements i to j of n. Its first element is element at of the
// sequence.
func (n *node) forward(at, i, j int, visit func(leaf *node, at, a, b int) bool) bool {
	if i >= j {
		return true
	}
	if n.kids == nil {
		return visit(n, at+i, i, j)
	}
	for k, count := range n.counts {
		if j <= 0 {
			break
		}
		if i < count && !n.kids[k].forward(at, max(i, 0), min(j, count), visit) {
			return false
		}
		at, i, j = at+count, i-count, j-count
	}
	return true
}
