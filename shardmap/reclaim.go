package shardmap

import "sync"

// inlineFrees is the most blocks that are freed on the caller's goroutine.
const inlineFrees = 256

// reclaimer frees retired blocks once no open view reads them. Until then each block is in the list
// of its oldest reader (cut.retired).
type reclaimer struct {
	mu    sync.Mutex // also guards cut.retired
	bytes int        // of all blocks that wait
}

// retiredBlock is a block that its table no longer uses.
type retiredBlock struct {
	block      []byte
	table      *Table
	createdLSN uint64 // of the change that made it: views with lower LSNs do not read it
	retiredLSN uint64 // of the change that retired it: views with that or a higher LSN do not read it
}

// oldestReader returns the oldest open view that reads b, nil if there is none.
func (vs *viewList) oldestReader(b *retiredBlock) *cut {
	for _, c := range vs.cuts {
		if b.createdLSN <= c.lsn && c.lsn < b.retiredLSN && c.covers(b.table) {
			return c
		}
	}
	return nil
}

// retire frees a block: immediately, or when the last view that reads it is closed.
func (s *Store) retire(b retiredBlock) {
	if cap(b.block) < minSlabBytes {
		return // the garbage collector frees it
	}
	// The list is more recent than b.retiredLSN, so it has all open views with lower LSNs.
	if s.views.Load().oldestReader(&b) == nil || !s.reclaimer.retain(s, b) {
		s.slabs.Free(b.block)
	}
}

// retain adds b to the list of its oldest reader. It returns false if there is none.
func (g *reclaimer) retain(s *Store, b retiredBlock) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	// The list of views is read under mu: a view that is being closed is either missing in it, or
	// its closeView comes after this.
	c := s.views.Load().oldestReader(&b)
	if c == nil {
		return false
	}
	c.retired = append(c.retired, b)
	g.bytes += cap(b.block)
	return true
}

// closeView frees the blocks retained for c, which is no longer in the list of views. Blocks that
// other views read are retained for those.
func (g *reclaimer) closeView(s *Store, c *cut) {
	g.mu.Lock()
	kept := c.retired
	c.retired = nil
	g.mu.Unlock()
	for len(kept) > 0 {
		n := min(len(kept), InlineElements) // so that writers do not wait long for mu
		s.free(g.reassign(s, kept[:n]))
		kept = kept[n:]
	}
}

// reassign retains blocks for other views that read them, and returns those that no view reads.
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

// free frees blocks of the store's slabs, many of them in the background.
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
