package loop

import (
	"slices"

	"cyberdb-fast/codec"
)

// add adds a request that waits.
func (l *longWaits) add(w *waiter) {
	if l.byID == nil {
		l.byID = make(map[uint32]*waiter)
	}
	if l.byID[w.request.ID] == nil {
		l.byID[w.request.ID] = w
	}
	w.index = len(l.waiters)
	l.waiters = append(l.waiters, w)
}

// remove removes a request that waits no more.
func (l *longWaits) remove(w *waiter) {
	last := len(l.waiters) - 1
	moved := l.waiters[last]
	l.waiters[w.index], moved.index = moved, w.index
	l.waiters[last] = nil
	l.waiters = l.waiters[:last]
	if l.byID[w.request.ID] == w {
		delete(l.byID, w.request.ID)
	}
	if last == 0 {
		l.waiters, l.byID = nil, nil
	}
}

// refuseWaiters ends the waits of a session because the server stops. A request that is executed in
// the background continues.
func (s *session) refuseWaiters() {
	refused := 0
	for _, w := range slices.Clone(s.deferred.waiters()) {
		if refused == endedAtOnce {
			s.wake() // for the rest
			return
		}
		if !w.away {
			w.refuse(shuttingDown())
			refused++
		}
	}
}

// cancelCost is what it takes to end a wait, in estimated nanoseconds.
const cancelCost = 500

// Cancel implements engine.Connection. The wait has ended when it returns; the request has its
// reply soon after. A request that is executed in the background is canceled if it would wait
// again.
func (s *session) Cancel(id uint32, why *codec.Error) bool {
	if s.deferred.long == nil {
		return false
	}
	w := s.deferred.long.byID[id]
	if w == nil {
		return false
	}
	if w.away {
		w.canceled = why
		return false
	}
	s.loop.exec.Cost += cancelCost
	w.end()
	w.canceled = why
	w.wake() // the executor is appending a reply just now
	return true
}

// refuseCanceled answers a request that was canceled.
func (w *waiter) refuseCanceled() {
	w.session.refuseRequest(&w.request, w.canceled, w.arrived)
	w.canceled = nil
}

// endedAtOnce is how many waits of a session end in one step of the event loop.
const endedAtOnce = 1024

// endWaiters ends the waits of a session that is at its end: others are next in their lines. If
// there are many, the rest ends in the next iterations of the event loop.
func (s *session) endWaiters() {
	if s.deferred.long == nil {
		return
	}
	if s.deferred.long.endSome() {
		s.loop.ending = append(s.loop.ending, s.deferred.long)
		s.loop.queue.waker.wake()
	}
}

// endSome ends some of the waits, and returns whether there are more.
func (l *longWaits) endSome() (more bool) {
	for n := 0; n < endedAtOnce && len(l.waiters) > 0; n++ {
		l.waiters[len(l.waiters)-1].end()
	}
	return len(l.waiters) > 0
}

// endWaiters ends some waits of a session that is at its end.
func (l *eventLoop) endWaiters() {
	if !l.ending[0].endSome() {
		l.ending[0] = nil
		l.ending = l.ending[1:]
	}
	if len(l.ending) > 0 {
		l.queue.waker.wake()
	} else {
		l.ending = nil
	}
}
