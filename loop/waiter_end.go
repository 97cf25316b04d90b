package loop

import (
	"slices"

	"cyberdb-fast/codec"
)

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
	w.in.canceled++
	w.wake() // the executor is appending a reply just now
	return true
}

// refuseCanceled answers a request that was canceled.
func (w *waiter) refuseCanceled() {
	w.session.loop.exec.Cost += lateCost
	w.in.canceled--
	w.session.refuseRequest(&w.request, w.canceled, w.arrived)
	w.canceled = nil
}

const (
	endedAtOnce = 1024 // waits of sessions at their ends that end in one step of the event loop
	endedFirst  = 4    // waits that end with their session itself
)

// endWaiters ends the waits of a session that is at its end: others are next in their lines. If
// there are many, they end in the next iterations of the event loop, with those of other sessions.
func (s *session) endWaiters() {
	long, l := s.deferred.long, s.loop
	if long == nil {
		return
	}
	if long.end(endedFirst); len(long.waiters) > 0 {
		l.ending = append(l.ending, long)
		l.queue.waker.wake()
	}
}

// end ends waits, so many at most, and returns how many.
func (l *longWaits) end(most int) (ended int) {
	for ended < most && len(l.waiters) > 0 {
		l.waiters[len(l.waiters)-1].end()
		ended++
	}
	return ended
}

// endMore ends waits of sessions that are at their ends.
func (l *eventLoop) endMore() {
	for left := endedAtOnce; left > 0 && len(l.ending) > 0; {
		left -= l.ending[0].end(left)
		if len(l.ending[0].waiters) == 0 {
			l.ending[0] = nil
			l.ending = l.ending[1:]
		}
	}
	if len(l.ending) > 0 {
		l.queue.waker.wake()
	} else {
		l.ending = nil
	}
}
