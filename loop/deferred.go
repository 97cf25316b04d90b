package loop

import "sync/atomic"

// maxUnlocks is how many locks of tables may be about to wake one session.
const maxUnlocks = 8

// deferred is the part of a session that keeps what waits: for the end of the loop's iteration, for
// the disk, or for a goroutine in the background. Owned by the event loop, except where said.
type deferred struct {
	durable  *pendingReplies // replies that wait for the disk; nil: there were none yet
	requests bool            // some wait for the end of the iteration
	replies  bool            // the same
	timer    *blockTimer     // blocked: for the deadline of the next request; nil: none had one yet

	// written by the goroutine that ends the wait, taken by the event loop
	ready  atomic.Bool                     // blocked, authenticating: the wait is over
	result atomic.Pointer[backgroundReply] // background: the reply
	// how many locks of tables will set ready: more than one if deadlines have ended waits
	unlocks atomic.Int32
}

// addDurable keeps a reply until its change is on disk. It returns true if no other reply is kept.
func (d *deferred) addDurable(reply []byte, lsn uint64) bool {
	if d.durable == nil {
		d.durable = new(pendingReplies)
	}
	first := !d.durable.waits()
	d.durable.add(reply, lsn)
	return first
}

// pendingDurable returns how many bytes of replies wait for the disk.
func (d *deferred) pendingDurable() int {
	if d.durable == nil {
		return 0
	}
	return len(d.durable.frames)
}
