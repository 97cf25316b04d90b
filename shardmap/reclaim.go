package shardmap

import "sync"

// inlineFrees is how many blocks are given back at once on the caller's goroutine.
const inlineFrees = 256

// reclaimer keeps blocks that are out of use, but that open views still see: each with the oldest
// of these views.
type reclaimer struct {
	mu    sync.Mutex // guards cut.kept too
	bytes int
}

// retiredBlock is a block of a table's that is out of use.
type retiredBlock struct {
	block      []byte
	table      *Table
	createdLSN uint64 // LSN of the mutation that made it: views with lower numbers do not see it
	retiredLSN uint64 // LSN of the mutation that put it out of use: views with higher numbers do not see it
}

// oldestReader returns the oldest open view that sees b, nil if none does.
func (vs *viewList) oldestReader(b *retiredBlock) *cut {
	for _, c := range vs.cuts {
		if b.createdLSN < c.number && c.number < b.retiredLSN && c.covers(b.table) {
			return c
		}
	}
	return nil
}

// retire frees a block, at once or when the last view that sees it is closed.
func (s *Store) retire(b retiredBlock) {
	if cap(b.block) < minSlabBytes {
		return // on the Go heap
	}
	// All views with numbers below b.dead are in the list, for it is younger than that number: what
	// it lacks was closed.
	if s.views.Load().oldestReader(&b) == nil || !s.reclaimer.retain(s, b) {
		s.slabs.Free(b.block)
	}
}

// retain gives b to a view that sees it; false: none does.
func (g *reclaimer) retain(s *Store, b retiredBlock) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	// The list is read under mu: either it lacks a view that is being closed, or that view's
	// release comes after this.
	c := s.views.Load().oldestReader(&b)
	if c == nil {
		return false
	}
	c.retired = append(c.retired, b)
	g.bytes += cap(b.block)
	return true
}

// closeView frees what was kept for c, which has left the list of views, unless another view sees it.
func (g *reclaimer) closeView(s *Store, c *cut) {
	g.mu.Lock()
	kept := c.retired
	c.retired = nil
	g.mu.Unlock()
	for len(kept) > 0 {
		n := min(len(kept), InlineElements) // so that writers need not wait long for mu
		s.free(g.reassign(s, kept[:n]))
		kept = kept[n:]
	}
}

// reassign gives blocks to other views that see them and returns those that none does.
func (g *reclaimer) reassign(s *Store, blocks []retiredBlock) (free [][]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	vs := s.views.Load()
	for i := range blocks {
		if c := vs.oldestReader(&blocks[i]); c != nil {
			c.retired = append(c.retired, blocks[i])
			continue
		}
		free = append(free, blocks[i].block)
		g.bytes -= cap(blocks[i].block)
	}
	return free
}

// free gives back blocks of the store's slabs: many of them in the background.
func (s *Store) free(blocks [][]byte) {
	if len(blocks) > inlineFrees {
		s.slabs.Background(func() { s.freeAll(blocks) })
	} else {
		s.freeAll(blocks)
	}
}

func (s *Store) freeAll(blocks [][]byte) {
	for _, block := range blocks {
		s.slabs.Free(block)
	}
}

func (g *reclaimer) retainedBytes() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bytes
}
