package loop

import "sync/atomic"

// deferred is the part of a session that knows what its requests and replies wait for: the end of
// the loop's iteration, the disk, or a goroutine in the background. Owned by the event loop, except
// where said.
type deferred struct {
	durable  *heldReplies // replies that wait for the disk; nil: there were none yet
	requests bool         // some wait for the end of the iteration
	replies  bool         // the same

	// written by whoever ends the wait, taken by the event loop
	ready  atomic.Bool                 // blocked, authenticating: the wait is over
	result atomic.Pointer[besideReply] // background: the reply
}

// hold keeps a reply until its change is on disk. It returns true if it is the only one.
func (d *deferred) hold(reply []byte, lsn uint64) bool {
	if d.durable == nil {
		d.durable = new(heldReplies)
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
