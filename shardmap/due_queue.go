package shardmap

import (
	"container/heap"
	"sync"
)

// dueQueue has the shards of a store in which entries expire, and the lists in which held items
// return: of each, the one that is due first in front.
type dueQueue struct {
	mu     sync.Mutex
	shards dueHeap[*shard]
	lists  dueHeap[*List]
	wake   func()         // tells that something is due earlier than before; constant, may be nil
	aging  map[*Dict]bool // dicts in which entries without a deadline expire
}

// queueable is what a dueHeap holds.
type queueable interface {
	// inQueue returns where it keeps its place in the heap + 1; 0: it is in none. Guarded by
	// dueQueue.mu.
	inQueue() *int
}

func (s *shard) inQueue() *int { return &s.queued }
func (l *List) inQueue() *int  { return &l.queued }

// dueHeap implements heap.Interface.
type dueHeap[T queueable] []dueItem[T]

type dueItem[T queueable] struct {
	at   int64 // in milliseconds
	what T
}

func (q dueHeap[T]) Len() int           { return len(q) }
func (q dueHeap[T]) Less(i, j int) bool { return q[i].at < q[j].at }

func (q dueHeap[T]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	*q[i].what.inQueue(), *q[j].what.inQueue() = i+1, j+1
}

// Push implements heap.Interface.
func (q *dueHeap[T]) Push(x any) {
	d := x.(dueItem[T])
	*q = append(*q, d)
	*d.what.inQueue() = len(*q)
}

// Pop implements heap.Interface.
func (q *dueHeap[T]) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	(*q)[last] = dueItem[T]{}
	*q = (*q)[:last]
	*d.what.inQueue() = 0
	return d
}

// put makes one of them due at a time. It returns whether that is the first of all.
func (q *dueHeap[T]) put(what T, at int64) (first bool) {
	first = len(*q) == 0 || at < (*q)[0].at
	if i := *what.inQueue() - 1; i >= 0 {
		(*q)[i].at = at
		heap.Fix(q, i)
	} else {
		heap.Push(q, dueItem[T]{at, what})
	}
	return first
}

func (q *dueHeap[T]) remove(what T) {
	if i := *what.inQueue() - 1; i >= 0 {
		heap.Remove(q, i)
	}
}

// take returns the first one, which is no longer in the heap.
func (q *dueHeap[T]) take() T { return heap.Pop(q).(dueItem[T]).what }

// next returns when the first one is due; 0: there is none.
func (q dueHeap[T]) next() int64 {
	if len(q) == 0 {
		return 0
	}
	return q[0].at
}

// put makes the shard due at a time.
func (q *dueQueue) put(s *shard, at int64) {
	q.mu.Lock()
	earlier := q.shards.put(s, at)
	q.mu.Unlock()
	if earlier && q.wake != nil {
		q.wake()
	}
}

// putList is put for a list.
func (q *dueQueue) putList(l *List, at int64) {
	q.mu.Lock()
	earlier := q.lists.put(l, at)
	q.mu.Unlock()
	if earlier && q.wake != nil {
		q.wake()
	}
}

func (q *dueQueue) remove(s *shard) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shards.remove(s)
}

func (q *dueQueue) removeList(l *List) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lists.remove(l)
}

// take returns a shard or a list that is due, which is no longer in the queue; nil, nil: none is.
// Of both the one that was due first comes first. An entry's deadline is its last millisecond, so a
// shard is due after its time; a list is due at it.
func (q *dueQueue) take(now int64) (*shard, *List) {
	q.mu.Lock()
	defer q.mu.Unlock()
	shards, lists := q.shards.next(), q.lists.next()
	switch {
	case lists != 0 && lists <= now && (shards == 0 || lists <= shards):
		return nil, q.lists.take()
	case shards != 0 && shards < now:
		return q.shards.take(), nil
	case lists != 0 && lists <= now:
		return nil, q.lists.take()
	}
	return nil, nil
}

// next returns when the first shard or list is due; 0: none is queued.
func (q *dueQueue) next() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	shards, lists := q.shards.next(), q.lists.next()
	if shards == 0 || lists != 0 && lists < shards {
		return lists
	}
	return shards
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
