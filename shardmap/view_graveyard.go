package shardmap

import "sync"

// graveyard keeps blocks that are out of use, but that open views may still see.
type graveyard struct {
	mu    sync.Mutex
	dead  []deadBlock
	bytes int
}

type deadBlock struct {
	lsn   uint64 // of the mutation that put the block out of use: views with lower numbers see it
	block []byte
}

// retire frees a block that the mutation lsn has put out of use, as soon as no view with a lower number is open.
func (s *Store) retire(lsn uint64, block []byte) {
	if cap(block) < minSlabBytes {
		return // on the Go heap
	}
	s.graveyard.mu.Lock()
	// The list is read under mu: either it lacks a view that is being closed, or that view's release comes after this.
	keep := s.views.Load().sees(lsn)
	if keep {
		s.graveyard.dead = append(s.graveyard.dead, deadBlock{lsn, block})
		s.graveyard.bytes += cap(block)
	}
	s.graveyard.mu.Unlock()
	if !keep {
		s.slabs.Free(block)
	}
}

// sees tells whether an open view may see what the mutation lsn has put out of use.
func (vs *viewList) sees(lsn uint64) bool {
	oldest, ok := vs.oldest()
	return ok && oldest < lsn
}

// release frees what no open view sees any more.
func (g *graveyard) release(s *Store) {
	g.mu.Lock()
	vs := s.views.Load()
	var free [][]byte
	kept := g.dead[:0]
	for _, d := range g.dead {
		if vs.sees(d.lsn) {
			kept = append(kept, d)
			continue
		}
		free = append(free, d.block)
		g.bytes -= cap(d.block)
	}
	clear(g.dead[len(kept):])
	g.dead = kept
	if len(kept) == 0 {
		g.dead = nil
	}
	g.mu.Unlock()
	for _, block := range free {
		s.slabs.Free(block)
	}
}

func (g *graveyard) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bytes
}
