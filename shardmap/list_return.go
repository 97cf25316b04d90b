package shardmap

import (
	"cmp"
	"slices"
)

// What a list holds returns by an effect that is logged: it names the items by receipt and due
// time, and says where they go. So a replay does the same, whatever its time is.

// Returned names a held item that returns. An item that is due at another time stays.
type Returned struct {
	Receipt uint64
	Due     int64
}

// returnClass says where an item that is due goes, in the order in which Sweep returns them.
type returnClass uint8

const (
	toDeadLetters returnClass = iota // in order of their receipts
	toFront                          // from the highest receipt down: what was taken first is first
	toEnd                            // in order of their due times, then of their receipts
)

const (
	// maxCollected is how many due items are looked at in one critical section.
	maxCollected = 256
	// maxReturned is how many items return in one critical section.
	maxReturned = 128
)

// inOrder is the order in which due items return.
func inOrder(a, b heldDue) int {
	if a.class != b.class {
		return cmp.Compare(a.class, b.class)
	}
	switch a.class {
	case toFront:
		return cmp.Compare(b.receipt, a.receipt)
	case toEnd:
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
	}
	return cmp.Compare(a.receipt, b.receipt)
}

// sweepList returns items of a list that is due. It does not wait for a long write.
func (s *Store) sweepList(c *Call, l *List, now int64) (returned int, more bool) {
	mayBlock := c.MayBlock
	c.MayBlock = false
	defer func() { c.MayBlock = mayBlock }()
	collected, err := l.collectDue(c, now)
	if err == nil && collected {
		returned, err = l.returnDue(c)
	}
	c.lock(&l.mu)
	defer c.unlock()
	q := l.queue
	switch {
	case q == nil || l.table.state.Load() != present || l.table.lock.isPoisoned():
		return returned, false
	case err != nil:
		q.scheduled = now + markGap
	case !collected || len(q.returning) > 0:
		q.scheduled, more = now, true
	default:
		q.scheduled = 0
		l.schedule()
		return returned, false
	}
	s.due.putList(l, q.scheduled)
	return returned, more
}

// collectDue collects what is due, in several calls if that is much, and sorts it. It returns
// whether all is collected. Errors: ErrBusy, ErrNoTable, ErrPoisoned.
func (l *List) collectDue(c *Call, now int64) (all bool, err error) {
	if err := l.lockToWrite(c); err != nil {
		return false, err
	}
	q := l.queue
	if q == nil {
		c.unlock()
		return false, ErrNoTable
	}
	if q.collected {
		c.unlock()
		return true, nil
	}
	for range maxCollected {
		first, there := heldDue{}, false
		if q.due != nil {
			first, there = q.due.Min()
		}
		if all = !there || first.at > now; all {
			break
		}
		q.due.PopMin()
		h, _, _ := q.find(first.receipt)
		switch {
		case h.Delayed:
			first.class = toEnd
		case !q.options.exhausted(&h):
			first.class = toFront
		}
		q.returning = append(q.returning, first)
	}
	c.unlock()
	if all { // without the mutex: only Sweep uses it
		slices.SortFunc(q.returning, inOrder)
		q.collected = true
	}
	return all, nil
}

// returnDue returns the next of the items that were collected. Errors: as those of lockDead.
func (l *List) returnDue(c *Call) (returned int, err error) {
	q := l.queueNow(c)
	if q == nil || len(q.returning) == 0 {
		l.returnedAll(q)
		return 0, nil
	}
	class, n := q.returning[0].class, 0
	for n < min(len(q.returning), maxReturned) && q.returning[n].class == class {
		n++
	}
	to, err := l.lockDead(c, func() bool { return class == toDeadLetters })
	if err != nil {
		return 0, err
	}
	c.returned = c.returned[:0]
	if l.queue != q { // it was dropped
		n = 0
	}
	for _, d := range q.returning[:n] {
		if h, _, ok := q.find(d.receipt); ok && h.Due == d.at {
			c.returned = append(c.returned, Returned{d.receipt, d.at})
		}
	}
	if class == toDeadLetters && to == nil {
		slices.Reverse(c.returned) // they return to the front
	}
	if len(c.returned) > 0 {
		l.returnByEffect(c, to)
	}
	if q.returning = q.returning[n:]; len(q.returning) == 0 {
		l.returnedAll(q)
	}
	c.unlockBoth()
	return len(c.returned), nil
}

// queueNow returns what the list has as a queue.
func (l *List) queueNow(c *Call) *queue {
	c.lock(&l.mu)
	defer c.unlock()
	return l.queue
}

// returnedAll lets the next call of collectDue begin.
func (l *List) returnedAll(q *queue) {
	if q != nil {
		q.returning, q.collected = nil, false
	}
}

// returnByEffect returns the items of Call.returned, to the dead letters if there is a list. The
// caller holds the mutexes of both.
func (l *List) returnByEffect(c *Call, to *List) {
	if c.effect = c.effect[:0]; c.Effects != nil {
		name := ""
		if to != nil {
			name = to.table.Name()
		}
		c.effect = c.Effects.Return(c.effect, l.table.Name(), name, c.returned)
	}
	request := c.Request
	c.Request = c.effect
	l.returnItems(c, to, c.returned)
	c.Request = request
	if len(c.effect) > KeptRequestBytes {
		c.effect = nil // the log may have kept it
	}
}

// returnItems returns held items, which are there, in their order. It takes one LSN. The caller
// holds the mutexes of both lists.
func (l *List) returnItems(c *Call, to *List, items []Returned) {
	if to != nil && to != l {
		c.changingToo = to.table
	}
	n, vs := l.assign(c, 1)
	c.Version = n
	if to != nil && to != l {
		if vs.newest > to.frozenAt {
			to.handover(vs, n)
		}
		to.frozen = nil
	}
	for _, item := range items {
		h, i, _ := l.queue.find(item.Receipt)
		if to == nil {
			if !h.Delayed {
				l.queue.expired++
			}
			l.returnHeld(&h, i)
			continue
		}
		l.queue.dead++
		to.rope.AppendOwned(h.Val)
		l.queue.release(&h, i)
	}
	l.length.Store(int64(l.rope.Len()))
	if to != nil {
		to.length.Store(int64(to.rope.Len()))
	}
	c.completeBoth()
}

// Return returns held items, as a replayed effect: to the end of the dead letters, if a list is
// named, or to where they belong. It leaves items that are due at another time. Errors: ErrNoTable,
// ErrKind: there is no such list.
func (l *List) Return(c *Call, deadLetters string, items []Returned) error {
	var to *List
	if deadLetters != "" {
		t, _ := l.store.lookup(deadLetters)
		if t == nil {
			return ErrNoTable
		}
		if to = t.list; to == nil {
			return ErrKind
		}
	}
	if to == nil || to == l {
		if err := l.lockToWrite(c); err != nil {
			return err
		}
	} else if again, err := l.lockTo(c, to, deadLetters); err != nil || again {
		return cmp.Or(err, ErrBusy)
	}
	c.returned = c.returned[:0]
	for _, item := range items {
		h, _, ok := l.queue.find(item.Receipt)
		if ok && h.Due == item.Due && !slices.Contains(c.returned, item) {
			c.returned = append(c.returned, item)
		}
	}
	if len(c.returned) > 0 {
		l.returnItems(c, to, c.returned)
	}
	c.unlockBoth()
	return nil
}
