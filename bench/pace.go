package bench

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// The open loop. Requests have a timetable: number k of a loop is due k gaps after its start, on
// connection k modulo their number. It is sent then, or, if its connection has no free slot, as
// soon as a reply frees one. Its latency runs from when it was due, so a stall of the server counts
// for every request that it delays (no coordinated omission).

// due returns when number k is due, since the epoch.
func (l *eventLoop) due(k uint64) time.Duration { return l.start + time.Duration(float64(k)*l.gap) }

// untilNext returns how long it is until the timetable's next request.
func (l *eventLoop) untilNext() time.Duration { return max(l.due(l.next)-time.Since(l.epoch), 0) }

// pace sends what is due, one write for each connection.
func (l *eventLoop) pace(now time.Duration) {
	passed := uint64(float64(now-l.start)/l.gap) + 1 // requests that are due
	if passed <= l.next {
		return
	}
	// a connection that comes up twice sends all that is due the first time
	for range min(passed-l.next, uint64(len(l.conns))) {
		c := l.conns[l.next%uint64(len(l.conns))]
		l.next++
		if c.lost {
			continue
		}
		l.out = l.catchUp(l.out[:0], c, now)
		l.send(c, l.out)
	}
	l.next = passed
}

// catchUp appends the requests of one connection that are due and find a slot.
func (l *eventLoop) catchUp(out []byte, c *conn, now time.Duration) []byte {
	for l.sending && c.inFlight < len(c.slots) {
		due := l.due(c.ticket)
		if due > now {
			break
		}
		c.ticket += uint64(len(l.conns))
		out = l.put(out, c, c.freeSlot(l.ordered), due)
	}
	return out
}

// freeAll says that no slot has a request.
func (c *conn) freeAll() {
	for i := range c.slots {
		c.free = append(c.free, i)
	}
}

// freeSlot returns a slot without a request; there is one.
func (c *conn) freeSlot(ordered bool) (i int) {
	if ordered {
		return (c.head + c.inFlight) % len(c.slots)
	}
	last := len(c.free) - 1
	i, c.free = c.free[last], c.free[:last]
	return i
}

// countUnsent counts the requests that were due in the measured time and were not sent, with the
// latency that they have reached.
func (l *eventLoop) countUnsent() {
	if l.gap == 0 {
		return
	}
	for _, c := range l.conns {
		for ; !c.lost && l.due(c.ticket) < l.until; c.ticket += uint64(len(l.conns)) {
			if due := l.due(c.ticket); due >= l.from {
				l.tally.unsent++
				l.tally.latency.record(l.until - due)
			}
		}
	}
}

// precise lets the thread wake up on time and not up to 50 us later. The function that it returns
// ends that.
func precise() (end func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // a refusal costs precision alone
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default again
		runtime.UnlockOSThread()
	}
}
