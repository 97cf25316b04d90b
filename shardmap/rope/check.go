package rope

import "fmt"

// Check walks the whole tree and returns an error for the first broken invariant: counts, bytes,
// offsets, fill or height. It is for tests.
func (r *Root) Check() error {
	for _, end := range []*node{r.head, r.tail} {
		if end == nil {
			continue
		}
		if err := end.check(0, false); err != nil {
			return fmt.Errorf("end: %w", err)
		}
	}
	if r.mid.root == nil {
		return nil
	}
	if r.mid.height > 0 && len(r.mid.root.kids) < 2 {
		return fmt.Errorf("root of height %d has %d children", r.mid.height, len(r.mid.root.kids))
	}
	return r.mid.root.check(r.mid.height, true)
}

func (n *node) check(height int, root bool) error {
	if height == 0 {
		return n.checkLeaf()
	}
	switch {
	case n.kids == nil:
		return fmt.Errorf("leaf at height %d", height)
	case len(n.kids) > fanout || len(n.kids) < minKids && !root:
		return fmt.Errorf("inner node with %d children", len(n.kids))
	case len(n.kids) != len(n.counts):
		return fmt.Errorf("%d children, %d counts", len(n.kids), len(n.counts))
	}
	var sum, bytes int
	for k, kid := range n.kids {
		if kid.n != n.counts[k] || kid.n == 0 {
			return fmt.Errorf("child %d holds %d elements, counted %d", k, kid.n, n.counts[k])
		}
		if err := kid.check(height-1, false); err != nil {
			return err
		}
		sum, bytes = sum+kid.n, bytes+kid.bytes
	}
	if sum != n.n || bytes != n.bytes {
		return fmt.Errorf("inner node says %d elements, %d bytes; has %d, %d", n.n, n.bytes, sum, bytes)
	}
	return nil
}

func (n *node) checkLeaf() error {
	if n.kids != nil {
		return fmt.Errorf("inner node at height 0")
	}
	if n.off == nil {
		if n.n != 1 || n.bytes != len(n.buf) || n.bytes <= LeafBytes {
			return fmt.Errorf("oversized leaf: %d elements, %d bytes, buffer %d", n.n, n.bytes, len(n.buf))
		}
		return nil
	}
	if n.n != len(n.off)-n.lo-1 || n.n > leafElements || n.bytes > LeafBytes || cap(n.buf) > LeafBytes {
		return fmt.Errorf("leaf: %d elements, %d offsets from %d, %d bytes", n.n, len(n.off), n.lo, n.bytes)
	}
	if got := int(n.off[n.lo+n.n] - n.off[n.lo]); got != n.bytes || int(n.off[n.lo+n.n]) != len(n.buf) {
		return fmt.Errorf("leaf: %d bytes by offsets, %d counted, buffer ends at %d", got, n.bytes, len(n.buf))
	}
	for i := range n.n {
		if n.off[n.lo+i] >= n.off[n.lo+i+1] {
			return fmt.Errorf("leaf: element %d is empty", i)
		}
	}
	return nil
}
