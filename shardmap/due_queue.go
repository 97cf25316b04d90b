package shardmap

import (
	"container/heap"
	"sync"
)

// dueQueue has the shards of a store in which entries expire, the one that is due first in front.
type dueQueue struct {
	mu     sync.Mutex
	shards dueShards
	wake   func()         // tells that something is due earlier than before; constant, may be nil
	aging  map[*Dict]bool // dicts in which entries without a deadline expire
}

// dueShards implements heap.Interface. A shard's place in it is deadlines.queued - 1.
type dueShards []dueShard

type dueShard struct {
	at    int64 // in milliseconds
	shard *shard
}

func (q dueShards) Len() int           { return len(q) }
func (q dueShards) Less(i, j int) bool { return q[i].at < q[j].at }

func (q dueShards) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].shard.queued, q[j].shard.queued = i+1, j+1
}

// Push implements heap.Interface.
func (q *dueShards) Push(x any) {
	*q = append(*q, x.(dueShard))
	(*q)[len(*q)-1].shard.queued = len(*q)
}

// Pop implements heap.Interface.
func (q *dueShards) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	(*q)[last] = dueShard{}
	*q = (*q)[:last]
	d.shard.queued = 0
	return d
}

// put makes the shard due at a time.
func (q *dueQueue) put(s *shard, at int64) {
	q.mu.Lock()
	earlier := len(q.shards) == 0 || at < q.shards[0].at
	if i := s.queued - 1; i >= 0 {
		q.shards[i].at = at
		heap.Fix(&q.shards, i)
	} else {
		heap.Push(&q.shards, dueShard{at, s})
	}
	q.mu.Unlock()
	if earlier && q.wake != nil {
		q.wake()
	}
}

func (q *dueQueue) remove(s *shard) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.queued > 0 {
		heap.Remove(&q.shards, s.queued-1)
	}
}

// take returns a shard that is due, which is no longer in the queue; nil: none is.
func (q *dueQueue) take(now int64) *shard {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.shards) == 0 || q.shards[0].at >= now {
		return nil
	}
	return heap.Pop(&q.shards).(dueShard).shard
}

// next returns when the first shard is due; 0: none is queued.
func (q *dueQueue) next() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.shards) == 0 {
		return 0
	}
	return q.shards[0].at
}

// age says whether entries of d without a deadline expire.
func (q *dueQueue) age(d *Dict, ages bool) {
	q.mu.Lock()
	if ages {
		q.aging[d] = true
	} else {
		delete(q.aging, d)
	}
	q.mu.Unlock()
	if ages && q.wake != nil {
		q.wake()
	}
}

// agingDicts returns the dicts in which entries without a deadline expire.
func (q *dueQueue) agingDicts() []*Dict {
	q.mu.Lock()
	defer q.mu.Unlock()
	dicts := make([]*Dict, 0, len(q.aging))
	for d := range q.aging {
		dicts = append(dicts, d)
	}
	return dicts
}
