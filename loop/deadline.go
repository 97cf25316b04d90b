package loop

import (
	"fmt"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/wheel"
)

// A request's deadline (codec.FlagDeadline) counts from when the last byte of its frame has
// arrived, in monotonic time. It is looked at before the request is executed. It ends the wait of a
// request that is blocked; one that waits behind others is refused when its turn comes.

const (
	// maxArrivals is how many arrivals of buffered input a session remembers.
	maxArrivals = 128
	// leastArrivalGap is how far apart they are at least.
	leastArrivalGap = time.Millisecond
	// longDeadline is longer than a read event takes: while that is left when it begins, the clock
	// need not be read for each request.
	longDeadline = time.Second
	// lateCost is what a refusal takes, in nanoseconds.
	lateCost = 500
)

// arrivals remembers when the buffered input of a session that waits has arrived. Arrivals that are
// close together count as one, as of the first. How close depends on how long the session has
// waited, so that there are few: a time is early by a sixtieth of the wait at most.
type arrivals struct {
	marks []arrival
	gap   time.Duration
}

// arrival says when the bytes up to an offset of the input have arrived, in monotonic time.
type arrival struct {
	end int
	at  time.Duration
}

// add notes that all up to end, which were not noted before, have arrived.
func (a *arrivals) add(end int, at time.Duration) {
	a.gap = max(a.gap, leastArrivalGap)
	n := len(a.marks)
	switch {
	case n > 0 && end <= a.marks[n-1].end:
	case n > 0 && at-a.marks[n-1].at < a.gap:
		a.marks[n-1].end = end
	default:
		a.marks = append(a.marks, arrival{end, at})
	}
	for len(a.marks) > maxArrivals {
		a.gap *= 2
		a.join()
	}
}

// join makes one arrival of those that are closer together than gap.
func (a *arrivals) join() {
	kept := a.marks[:1]
	for _, m := range a.marks[1:] {
		if last := &kept[len(kept)-1]; m.at-last.at < a.gap {
			last.end = m.end
		} else {
			kept = append(kept, m)
		}
	}
	a.marks = kept
}

// use forgets the first n bytes of the input.
func (a *arrivals) use(n int) {
	kept := a.marks[:0]
	for _, m := range a.marks {
		if m.end > n {
			kept = append(kept, arrival{m.end - n, m.at})
		}
	}
	a.marks = kept
}

// of returns when the byte before end has arrived; otherwise, if that is not known.
func (a *arrivals) of(end int, otherwise time.Duration) time.Duration {
	for _, m := range a.marks {
		if end <= m.end {
			return m.at
		}
	}
	return otherwise
}

// noteArrival notes that what is buffered and was not noted before has arrived in this read event,
// if the session waits. The first used bytes of what was noted are used up.
func (s *session) noteArrival(used int) {
	d := &s.deferred
	if s.input.empty() || s.state == running { // what is left then is not complete
		if d.long != nil {
			d.long.arrivals = arrivals{}
		}
		return
	}
	a := &d.waits().arrivals
	a.use(used)
	a.add(len(s.input.rest()), s.loop.arrived)
}

// passes returns when the request's deadline passes, in monotonic time; never: it has none. The
// request is the one that executeAll executes.
func (l *eventLoop) passes(req *codec.Request) time.Duration {
	if req.Flags&codec.FlagDeadline == 0 {
		return never
	}
	return l.deadline
}

// late answers a request whose deadline has passed; its frame ends at an offset of the input. It
// returns false if the request may be executed.
func (s *session) late(req *codec.Request, end int) bool {
	l := s.loop
	l.deadline = s.deferred.arrived(end, l.arrived) + time.Duration(req.Deadline)*time.Millisecond
	if l.deadline-l.began > longDeadline || s.srv.time.monotonic() < l.deadline {
		return false
	}
	l.exec.Cost += lateCost
	s.refuseRequest(req, lateError(req), s.deferred.arrived(end, l.arrived))
	return true
}

// lateError is the answer to a request whose deadline has passed.
func lateError(req *codec.Request) *codec.Error {
	return &codec.Error{
		Status:  codec.StatusDeadlineExceeded,
		Message: fmt.Sprintf("the request was not executed within its deadline of %d ms", req.Deadline),
	}
}

// blockTimer ends the wait of a blocked session when the deadline of its next request passes.
type blockTimer struct {
	wheel.Timer
	session *session
}

// blockUntil makes a blocked session continue when a deadline passes.
func (s *session) blockUntil(deadline time.Duration) {
	if deadline == never {
		return
	}
	t := &s.deferred.waits().timer
	t.session, t.Owner = s, t
	s.loop.timers.add(&t.Timer, deadline)
}

// unblocked ends what blockUntil has begun.
func (s *session) unblocked() {
	if s.deferred.long != nil {
		s.loop.timers.remove(&s.deferred.long.timer.Timer)
	}
}

// Due implements wheel.Owner.
func (b *blockTimer) Due() {
	s := b.session
	if s.state == blocked && !s.output.large && s.resumeLate() == gnet.Close {
		_ = s.conn.EventLoop().Close(s.conn)
	}
}

// resumeLate continues a blocked session: the deadline of its next request has passed. No panic
// crosses it.
func (s *session) resumeLate() (action gnet.Action) {
	defer s.recoverEvent(&action)
	s.setState(running)
	s.limitOutput()
	return s.readEvent(nil)
}
