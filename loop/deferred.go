package loop

import (
	"sync/atomic"
	"time"
)

const (
	// maxUnlocks is how many locks of tables may be about to wake one session.
	maxUnlocks = 8
	// unlockInterval is how often a session that has so many looks whether its table is free.
	unlockInterval = 10 * time.Millisecond
)

// deferred is the part of a session that keeps what waits: for the end of the loop's iteration, for
// the disk, for a goroutine in the background, or for anything else. Owned by the event loop,
// except where said.
type deferred struct {
	long     *longWaits // nil: nothing has waited beyond an iteration yet
	requests bool       // some wait for the end of the iteration
	replies  bool       // the same

	// written by the goroutine that ends the wait, taken by the event loop
	ready  atomic.Bool                     // blocked, authenticating: the wait is over
	result atomic.Pointer[backgroundReply] // background: the reply
}

// longWaits is what most sessions never need.
type longWaits struct {
	durable  pendingReplies     // replies that wait for the disk
	waiters  []*waiter          // requests that wait while others go on
	byID     map[uint32]*waiter // the same; of several with one id, the one that came when none had it
	canceled int                // requests that were canceled, and have no reply yet
	arrivals arrivals           // of the input that is buffered while the session waits
	timer    blockTimer         // blocked: for the deadline of the next request
	// how many locks of tables will set ready: more than one if deadlines have ended waits; written
	// by any goroutine
	unlocks atomic.Int32
}

// waits returns d.long, which it makes if need be.
func (d *deferred) waits() *longWaits {
	if d.long == nil {
		d.long = new(longWaits)
	}
	return d.long
}

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

// addDurable keeps a reply until its change is on disk. It returns true if no other reply is kept.
func (d *deferred) addDurable(reply []byte, mark pendingMark) bool {
	kept := &d.waits().durable
	first := !kept.waits()
	kept.add(reply, mark)
	return first
}

// pendingDurable returns how many bytes of replies wait for the disk.
func (d *deferred) pendingDurable() int {
	if d.long == nil {
		return 0
	}
	return len(d.long.durable.frames)
}

// waiters returns the requests that wait while others go on.
func (d *deferred) waiters() []*waiter {
	if d.long == nil {
		return nil
	}
	return d.long.waiters
}

// arrived returns when the byte before an offset of the input has arrived; otherwise, if that is
// not known.
func (d *deferred) arrived(end int, otherwise time.Duration) time.Duration {
	if d.long == nil {
		return otherwise
	}
	return d.long.arrivals.of(end, otherwise)
}
