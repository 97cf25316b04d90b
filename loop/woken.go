package loop

import (
	"sync"
)

// wokenList has the waiters that were woken, in that order.
type wokenList struct {
	post func() // makes the event loop call resumeWoken; constant

	mu   sync.Mutex
	list []*waiter // guarded by mu
}

func (l *wokenList) add(w *waiter) {
	l.mu.Lock()
	first := len(l.list) == 0
	l.list = append(l.list, w)
	l.mu.Unlock()
	if first {
		l.post()
	}
}

func (l *wokenList) take() []*waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// resumeWoken executes the requests of the waiters that were woken, for a quantum. The rest waits
// for the next iteration.
func (l *eventLoop) resumeWoken() {
	l.resuming = append(l.resuming, l.woken.take()...)
	list := l.resuming
	l.readTime()
	l.exec.ResetPrefetch()
	l.exec.Cost = 0
	n := 0
	for ; n < len(list) && l.exec.Cost < quantum; n++ {
		list[n].resume()
		list[n] = nil
	}
	if l.resuming = list[n:]; len(l.resuming) > 0 {
		l.queue.waker.wake()
	} else {
		l.resuming = nil
	}
}
