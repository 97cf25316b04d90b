package shardmap

// viewPart is a shard as a cut shows it. It is read a few entries at a time: from the shard, under
// its lock, or from what was handed over.
type viewPart struct {
	// constant
	cut   *cut
	shard *shard

	frozen *contents      // nil: not handed over yet
	num    int            // number of the next entry to look at
	ready  []visibleEntry // entries that were read; those from at on are still to be yielded
	at     int
}

// fill reads the next entries. It returns false if there are no more.
func (p *viewPart) fill(h *hiding) bool {
	for more := true; more; {
		p.ready, p.at = p.ready[:0], 0
		more = p.withContents(func(c *contents) (more bool) {
			p.ready, more = c.appendVisible(p.ready, p.cut.lsn, h.now, p.num)
			return more
		})
		p.num += entriesPerRead
		if len(p.ready) > 0 {
			return true
		}
	}
	return false
}

// count returns how many entries the view shows of the shard.
func (p *viewPart) count(h *hiding) (n int) {
	p.withContents(func(c *contents) bool {
		var buf []visibleEntry
		for num, more := 0, true; more; num += entriesPerRead {
			buf, more = c.appendVisible(buf[:0], p.cut.lsn, h.now, num)
			for i := range buf {
				if _, _, deadline := parts(buf[i].record, buf[i].flags); !h.hides(deadline, buf[i].version) {
					n++
				}
			}
		}
		return false
	})
	return n
}

// withContents calls f with the contents that the cut shows of the shard. Entries keep their
// numbers as long as the shard keeps its contents; contents that it gives up are handed over.
func (p *viewPart) withContents(f func(c *contents) bool) bool {
	if p.frozen == nil {
		p.shard.mu.Lock()
		defer p.shard.mu.Unlock()
		if p.shard.frozenAt < p.cut.lsn {
			return f(&p.shard.contents)
		}
		frozen := p.cut.part(p.shard.table, p.shard)
		if frozen == nil {
			return false // the view was closed
		}
		p.frozen = frozen.(*contents)
	}
	return f(p.frozen)
}

// viewMerge walks over the entries of a dict's parts in order. It is a binary heap.
type viewMerge []*viewPart

func (p *viewPart) place() uint64 { return p.ready[p.at].place }

func (m viewMerge) init() {
	for i := len(m)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
}

// down moves the part at i down to its place in the heap.
func (m viewMerge) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(m) {
			return
		}
		if child+1 < len(m) && m[child+1].place() < m[child].place() {
			child++
		}
		if m[i].place() <= m[child].place() {
			return
		}
		m[i], m[child] = m[child], m[i]
		i = child
	}
}
