package shardmap

import "sync"

// crowd has the dicts that the sweep brings within their limits.
type crowd struct {
	mu    sync.Mutex
	dicts map[*Dict]bool
	from  int64 // the sweep waits until this time, in milliseconds
}

// crowdRetry is how long the sweep waits for a long write, in milliseconds.
const crowdRetry = 50

// add adds a dict, for the sweep at a time or later.
func (q *crowd) add(d *Dict, from int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dicts == nil {
		q.dicts = make(map[*Dict]bool)
	}
	q.dicts[d] = true
	q.from = max(q.from, from)
}

// take returns a dict to be trimmed now, which is no longer in the crowd; nil: there is none.
func (q *crowd) take(now int64) *Dict {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now < q.from {
		return nil
	}
	for d := range q.dicts {
		delete(q.dicts, d)
		return d
	}
	return nil
}

// next returns when take has a dict; false: never.
func (q *crowd) next(now int64) (at int64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return max(q.from, now), len(q.dicts) > 0
}

// trimLater makes the sweep evict what is above the limit.
func (d *Dict) trimLater() {
	s := d.store
	s.crowd.add(d, 0)
	if s.due.wake != nil {
		s.due.wake()
	}
}

// sweepCrowd evicts some entries of a dict that is above its limit. It returns false if there is
// none.
func (s *Store) sweepCrowd(c *Call) (swept bool) {
	d := s.crowd.take(s.now.Load())
	if d == nil {
		return false
	}
	if d.trim(c, 0) {
		s.crowd.add(d, 0)
	}
	return true
}
