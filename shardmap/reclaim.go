package shardmap

import "sync"

// inlineFrees is how many blocks are given back at once on the caller's goroutine.
const inlineFrees = 256

// graveyard keeps blocks that are out of use, but that open views still see: each with the oldest
// of these views.
type graveyard struct {
	mu    sync.Mutex // guards cut.kept too
	bytes int
}

// deadBlock is a block of a table's that is out of use.
type deadBlock struct {
	block []byte
	table *Table
	born  uint64 // LSN of the mutation that made it: views with lower numbers do not see it
	dead  uint64 // LSN of the mutation that put it out of use: views with higher numbers do not see it
}

// keeper returns the oldest open view that sees b, nil if none does.
func (vs *viewList) keeper(b *deadBlock) *cut {
	for _, c := range vs.cuts {
		if b.born < c.number && c.number < b.dead && c.covers(b.table) {
			return c
		}
	}
	return nil
}

// retire frees a block, at once or when the last view that sees it is closed.
func (s *Store) retire(b deadBlock) {
	if cap(b.block) < minSlabBytes {
		return // on the Go heap
	}
	// All views with numbers below b.dead are in the list, for it is younger than that number: what
	// it lacks was closed.
	if s.views.Load().keeper(&b) == nil || !s.graveyard.keep(s, b) {
		s.slabs.Free(b.block)
	}
}

// keep gives b to a view that sees it; false: none does.
func (g *graveyard) keep(s *Store, b deadBlock) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	// The list is read under mu: either it lacks a view that is being closed, or that view's
	// release comes after this.
	c := s.views.Load().keeper(&b)
	if c == nil {
		return false
	}
	c.kept = append(c.kept, b)
	g.bytes += cap(b.block)
	return true
}

// release frees what was kept for c, which has left the list of views, unless another view sees it.
func (g *graveyard) release(s *Store, c *cut) {
	g.mu.Lock()
	kept := c.kept
	c.kept = nil
	g.mu.Unlock()
	for len(kept) > 0 {
		n := min(len(kept), InlineElements) // so that writers need not wait long for mu
		s.free(g.pass(s, kept[:n]))
		kept = kept[n:]
	}
}

// pass gives blocks to other views that see them and returns those that none does.
func (g *graveyard) pass(s *Store, blocks []deadBlock) (free [][]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	vs := s.views.Load()
	for i := range blocks {
		if c := vs.keeper(&blocks[i]); c != nil {
			c.kept = append(c.kept, blocks[i])
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

func (g *graveyard) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bytes
}
