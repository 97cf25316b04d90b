package shardmap

// compactIfDue compacts the shard when too much of it is dead; it reports whether it did.
func (s *shard) compactIfDue(w *write) bool {
	eighths := 2
	switch {
	case w.newest > 0:
		eighths = 6 // the old blocks are retained for a view, however often the shard is compacted
	case w.store.pressure.high.Load():
		eighths = 1
	}
	dead, deadBytes := s.count-s.live, s.filled-s.liveBytes
	due := dead > minDeadEntries && 8*dead > eighths*s.count ||
		deadBytes > minDeadBytes && 8*deadBytes > eighths*s.filled
	if due {
		s.compact(w)
	}
	return due
}

// compact moves the live entries into new pages, chunks and an index.
func (s *shard) compact(w *write) {
	s.handover(w)
	fresh := newShard(s.table, s.depth, s.prefix, 0)
	fresh.index = w.store.newIndex(indexSlots(s.live + s.live/8 + 1))
	s.eachLive(func(num int, p *page, e *entry) { fresh.adopt(w, s, num, p, e, w.store.hashOf(s.canonical(e))) })
	if s.usage != nil {
		fresh.usage.share, fresh.usage.evicted = s.usage.share, s.usage.evicted
		fresh.usage.ghosts, s.usage.ghosts = s.usage.ghosts, nil
		fresh.idling = s.idling
		fresh.idling.looked = 0
	}
	s.discard(w.store, w.first)
	s.usage = fresh.usage
	s.contents, s.heap = fresh.contents, fresh.heap
	s.schedule()
	s.chunkUse, s.index, s.used = fresh.chunkUse, fresh.index, fresh.used
}

// split replaces the shard, which the caller has locked, by two halves in the directory. The shard
// is retired, but still locked; the halves are locked too.
func (d *Dict) split(c *Call, w *write, s *shard) {
	s.handover(w)
	low := newShard(s.table, s.depth+1, s.prefix<<1, s.frozenAt)
	high := newShard(s.table, s.depth+1, s.prefix<<1|1, s.frozenAt)
	c.lockShard(low)
	c.lockShard(high)
	for _, half := range []*shard{low, high} {
		half.index = w.store.newIndex(indexSlots(s.live / 2))
	}
	bit := 63 - s.depth
	s.eachLive(func(num int, p *page, e *entry) {
		hash := w.store.hashOf(s.canonical(e))
		half := low
		if hash>>bit&1 == 1 {
			half = high
		}
		half.adopt(w, s, num, p, e, hash)
	})
	for _, half := range []*shard{low, high} {
		half.counted = half.bytesUsed()
		if s.usage != nil {
			half.usage.share = s.usage.share
			half.idling = s.idling
			half.idling.looked = 0
		}
	}
	d.bytes.Add(int64(s.bytesUsed() - s.counted))
	d.mu.Lock()
	d.dir.Store(d.dir.Load().after(s, low, high))
	d.mu.Unlock()
	s.retired = true
	s.unschedule()
	s.discard(w.store, w.first)
	low.schedule()
	high.schedule()
}

// eachLive calls f for each live entry, in order.
func (s *shard) eachLive(f func(num int, p *page, e *entry)) {
	for i := range s.pages {
		p := &s.pages[i]
		for j := range min(len(p.entries), s.count-i*pageEntries) {
			if e := &p.entries[j]; e.live() {
				f(i*pageEntries+j, p, e)
			}
		}
	}
}

// adopt appends a copy of the live entry num of another shard. A record in its own block is not
// copied: the block is moved.
func (s *shard) adopt(w *write, from *shard, num int, p *page, e *entry, hash uint64) {
	moved := *e
	if e.size&flagOwnBlock != 0 {
		i := e.loc >> 16
		moved.loc = s.ownRecord(from.chunks[i], from.createdLSNs[i]).loc
		from.chunks[i] = nil
	} else {
		place, rec := s.newRecord(w, int(e.size&sizeMask))
		copy(rec, from.record(e))
		moved.loc = place.loc
	}
	s.appendEntry(w, hash, moved, p.place(e))
	s.expect(s.count-1, s.deadline(s.count-1))
	s.adoptUse(from, num)
}

// discard retires all blocks of a shard as of change lsn.
func (s *shard) discard(st *Store, lsn uint64) {
	for i := range s.pages {
		s.retireEntries(st, lsn, &s.pages[i])
	}
	for i, chunk := range s.chunks {
		st.retire(retiredBlock{chunk, s.table, s.createdLSNs[i], lsn})
	}
	st.freeIndex(s.index)
	s.freeUsage()
	s.contents, s.chunkUse, s.index = contents{}, chunkUse{bump: -1}, nil
}
