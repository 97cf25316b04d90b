package shardmap

import (
	"sync"
	"sync/atomic"
)

// watchers are the callers that WhenChanged is to wake, in the order in which they came.
type watchers struct {
	any  atomic.Bool // there are some; written under mu
	mu   sync.Mutex
	ring *watcher // the first one; nil: there is none; guarded by mu
}

// watcher is one of them.
type watcher struct {
	wake       func()
	prev, next *watcher // in the ring; nil: it was woken or canceled
}

// WhenChanged calls wake once, when the next change of the table is complete: a change of its
// content or its name, its end, or its poisoning. cancel ends that; after wake it does nothing.
//
// A caller that waits for the table to be in some state looks at it after WhenChanged, and waits if
// it is not. Then no change is missed: one that is not visible to the caller calls wake.
//
// wake is called on the goroutine of the change, which holds locks of the table: it must be short
// and must not call the store. Neither it nor cancel may wait for the other.
func (t *Table) WhenChanged(wake func()) (cancel func()) {
	w := &watcher{wake: wake}
	t.watchers.add(w)
	return func() { t.watchers.remove(w) }
}

// WhenEnded is WhenChanged for the end of the table under its name alone: it is dropped, renamed,
// replaced or poisoned.
func (t *Table) WhenEnded(wake func()) (cancel func()) {
	w := &watcher{wake: wake}
	t.ends.add(w)
	return func() { t.ends.remove(w) }
}

func (l *watchers) add(w *watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ring == nil {
		w.prev, w.next, l.ring = w, w, w
	} else {
		w.prev, w.next = l.ring.prev, l.ring
		l.ring.prev.next = w
		l.ring.prev = w
	}
	l.any.Store(true)
}

func (l *watchers) remove(w *watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch w.next {
	case nil:
		return
	case w:
		l.ring = nil
		l.any.Store(false)
	default:
		w.prev.next, w.next.prev = w.next, w.prev
		if l.ring == w {
			l.ring = w.next
		}
	}
	w.prev, w.next = nil, nil
}

// changed wakes the watchers. The change is complete.
func (l *watchers) changed() {
	if l.any.Load() {
		l.wakeAll()
	}
}

func (l *watchers) wakeAll() {
	l.mu.Lock()
	first := l.ring
	l.ring = nil
	l.any.Store(false)
	var wakes []func()
	for w := first; w != nil && w.next != nil; {
		next := w.next
		w.prev, w.next = nil, nil
		wakes = append(wakes, w.wake)
		w = next
	}
	l.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}
