package shardmap

// deadlines knows which entries of a shard expire next. Guarded by the shard's lock.
//
// Each entry with a deadline has an item with that time or an earlier one. When the time has come,
// the entry is looked at: it has expired, or has a later deadline by then and gets another item, or
// it is not there any more. So a deadline that is moved to a later time costs nothing.
type deadlines struct {
	heap      []uint64 // a binary heap of time<<16 | number of the entry; the time is in milliseconds
	scheduled int64    // when the shard is due in the store's queue; 0: never
	queued    int      // its place in that queue + 1; 0: none. Guarded by dueQueue.mu
	oldest    uint64   // no entry without a deadline has a version below it
}

const (
	dueBits = 16
	dueMask = 1<<dueBits - 1
	// minStale is how many more items than entries a heap may have.
	minStale = 64
)

// nextDue returns when the shard is to be looked at; 0: never.
func (s *shard) nextDue() int64 {
	next := s.next()
	if idle := s.nextIdle(); idle != 0 && (next == 0 || idle < next) {
		next = idle
	}
	return next
}

// next returns the time of the first item, 0 if there is none.
func (q *deadlines) next() int64 {
	if len(q.heap) == 0 {
		return 0
	}
	return int64(q.heap[0] >> dueBits)
}

func (q *deadlines) push(item uint64) {
	h := append(q.heap, item)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent] <= item {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = item
	q.heap = h
}

func (q *deadlines) pop() uint64 {
	h := q.heap
	first, item := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	q.heap = h
	for i := 0; len(h) > 0; {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if child >= len(h) || item <= h[child] {
			h[i] = item
			break
		}
		h[i] = h[child]
		i = child
	}
	return first
}

// expect notes the deadline of entry num, which is new in the shard.
func (s *shard) expect(num int, deadline int64) {
	if deadline <= 0 {
		return
	}
	if len(s.heap) > 2*s.live+minStale {
		s.heap = s.heap[:0]
		for i := range s.count {
			if e := s.entry(i); e.live() {
				if deadline := s.deadlineOf(e); deadline > 0 {
					s.push(uint64(deadline)<<dueBits | uint64(i))
				}
			}
		}
	}
	s.push(uint64(deadline)<<dueBits | uint64(num))
}

// expectNew is expect for an entry that a request has added or changed.
func (s *shard) expectNew(num int, deadline int64) {
	if deadline > 0 {
		s.expect(num, deadline)
		s.schedule()
		if v := &s.table.dict.volatile; !v.Load() {
			v.Store(true)
		}
	}
}

// expectChange notes that the entry num, which has another deadline yet, gets a deadline.
func (s *shard) expectChange(num int, e *entry, deadline int64) {
	if deadline <= 0 {
		return
	}
	if old := s.deadlineOf(e); old <= 0 || deadline < old {
		s.expectNew(num, deadline)
	}
}

// schedule puts the shard into the store's queue, as of its first item.
func (s *shard) schedule() {
	next := s.nextDue()
	if s.table.state.Load() == restoring || next == 0 || s.scheduled != 0 && next >= s.scheduled {
		return // it is looked at early enough
	}
	s.scheduled = next
	s.table.store.due.put(s, next)
}

// unschedule takes the shard, which is retired, out of the queue.
func (s *shard) unschedule() {
	s.heap = nil
	if s.scheduled != 0 {
		s.scheduled = 0
		s.table.store.due.remove(s)
	}
}

// takeDue adds up to limit expired entries to the call's victims. It returns whether there may be
// more.
func (s *shard) takeDue(c *Call, now int64, limit int) (more bool) {
	last := uint64(0)
	for looked := 0; s.next() != 0 && s.next() < now; looked++ {
		if len(c.victims) == limit || looked == 4*limit {
			return true
		}
		item := s.pop()
		num, time := int(item&dueMask), int64(item>>dueBits)
		if num >= s.count || item == last {
			continue
		}
		last = item
		e := s.entry(num)
		if !e.live() {
			continue
		}
		switch deadline := s.deadlineOf(e); {
		case deadline == time:
			c.victims = append(c.victims, victim{s, num})
		case deadline > time:
			s.push(uint64(deadline)<<dueBits | uint64(num))
		}
	}
	return false
}
