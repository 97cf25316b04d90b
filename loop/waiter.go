package loop

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/wheel"
)

const (
	// maxWaiters is how many requests of one connection may wait at once.
	maxWaiters = 16384
	// maxAllWaiters is how many requests of all connections may.
	maxAllWaiters = 1_000_000
	// waiterBytes is what a waiter counts in the budget, besides its request.
	waiterBytes = 512
)

// waiter is a request that waits (engine.Waits) while its connection continues. It is executed
// again when what it waits for wakes it, or when its time has come; its reply goes by its id. Owned
// by the event loop, except where said.
type waiter struct {
	session  *session      // constant
	in       *longWaits    // of the session; constant
	request  codec.Request // its own copy; constant
	arrived  time.Duration // in monotonic time; constant
	worked   time.Duration // how long it was executed
	deadline time.Duration // of the request; constant
	timer    wheel.Timer   // for the deadline, or when it is to be executed again
	wait     *engine.Wait  // what it waits for
	cancel   func()        // ends what will wake it; nil: nothing will
	index    int           // among the session's
	away     bool          // it is executed in the background
	missed   bool          // it was woken meanwhile
	over     bool
	canceled *codec.Error // why it was canceled, and has no reply yet; nil: it was not
	woken    atomic.Bool  // it is in the event loop's list; set by any goroutine
}

// wait makes a request wait, of which first says for what. Its deadline, and when it has arrived,
// are in monotonic time.
func (s *session) wait(req *codec.Request, first *engine.Wait, deadline, arrived time.Duration) {
	if why := s.mayWait(req); why != nil {
		first.Over()
		s.refuseRequest(req, why, arrived)
		return
	}
	w := &waiter{
		session: s, in: s.deferred.waits(), request: req.Clone(), arrived: arrived, deadline: deadline,
	}
	w.timer.Owner = w
	w.in.add(w)
	s.srv.waiting.add(req.Op, 1)
	if w.stays(first) {
		w.execute()
	}
}

// mayWait returns an error if a request must not wait. Otherwise the budget counts it.
func (s *session) mayWait(req *codec.Request) *codec.Error {
	switch {
	case s.srv.draining.Load():
		return shuttingDown()
	case len(s.deferred.waiters()) >= maxWaiters:
		return &codec.Error{
			Status:  codec.StatusOverloaded,
			Message: fmt.Sprintf("%d requests of this connection wait already", maxWaiters),
		}
	case s.srv.waiting.Load() >= s.srv.limits.waiters:
		return &codec.Error{
			Status:  codec.StatusOverloaded,
			Message: fmt.Sprintf("%d requests wait already", s.srv.limits.waiters),
		}
	case !s.srv.requests.admit(len(req.Payload) + waiterBytes):
		return s.srv.requests.limitError()
	}
	return nil
}

// shuttingDown is the reply to a request whose wait the end of the server ends.
func shuttingDown() *codec.Error {
	return &codec.Error{
		Status:  codec.StatusShuttingDown,
		Message: "the server stops: the request has waited, and nothing was done",
	}
}

// stays makes the waiter wait again, after its request was executed in vain. It returns true if the
// request must be executed once more, since what it waits for may have happened before that could
// wake it. That is so each time it waits for something else than before: a wake-up since then
// is lost.
func (w *waiter) stays(wait *engine.Wait) (again bool) {
	before := w.wait
	w.wait = wait
	at := w.deadline
	if wait.Within > 0 {
		now := w.session.srv.time.monotonic()
		at = min(at, now+min(time.Duration(wait.Within), never/time.Millisecond/2)*time.Millisecond)
	}
	if at != never {
		w.session.loop.timers.add(&w.timer, at)
	}
	if w.cancel != nil && before != nil && before.Outside == wait.Outside || wait.When == nil {
		return false
	}
	w.unregister()
	w.cancel = wait.When(w.wake)
	return true
}

// unregister ends what will wake the waiter.
func (w *waiter) unregister() {
	if w.cancel != nil {
		w.cancel()
		w.cancel = nil
	}
}

// wake makes the event loop execute the request again. It may be called from any goroutine.
func (w *waiter) wake() {
	if w.woken.CompareAndSwap(false, true) {
		w.session.loop.woken.add(w)
	}
}

// Due implements wheel.Owner.
func (w *waiter) Due() {
	w.session.loop.readTime()
	w.resume()
}

// resume executes the request again, after it was woken or when it is time, and sends its reply.
func (w *waiter) resume() {
	w.woken.Store(false)
	if w.over {
		if w.canceled != nil {
			w.onLoop(w.refuseCanceled)
		}
		return
	}
	w.unregister()
	if w.away {
		w.missed = true
		return
	}
	w.session.loop.timers.remove(&w.timer)
	w.onLoop(w.execute)
}

// onLoop calls f, which appends replies, and sends them. No panic crosses it.
func (w *waiter) onLoop(f func()) {
	s := w.session
	if action := s.answerTo(f); action == gnet.Close {
		_ = s.conn.EventLoop().Close(s.conn)
	}
}

// answerTo calls f, which appends replies, and sends them. No panic crosses it.
func (s *session) answerTo(f func()) (action gnet.Action) {
	defer s.recoverEvent(&action)
	l := s.loop
	if s.ends() || s.conn.Context() == nil {
		return gnet.None
	}
	l.begin()
	last := l.exec.LastLSN()
	f()
	l.changed = l.changed || l.exec.LastLSN() != last
	if len(l.out) == l.from && !l.changed {
		return gnet.None
	}
	return s.answer()
}

// execute executes the request until it waits, and what it waits for will wake it, or until it has
// a reply.
func (w *waiter) execute() {
	s, x := w.session, w.session.loop.exec
	l := s.loop
	if w.late() {
		return
	}
	start, began := len(l.out), s.srv.time.monotonic()
	for again := true; again; {
		x.Origin = engine.Origin{Waited: w.waited(), Resumed: w.wait, Connection: s}
		l.out = x.Execute(l.out, &w.request, nil)
		x.Origin = engine.Origin{Connection: s}
		again = x.Outcome == engine.Waits && w.stays(x.Wait)
	}
	w.worked += s.srv.time.monotonic() - began
	switch x.Outcome {
	case engine.Waits:
	case engine.Blocked:
		w.block(x)
	case engine.Streams:
		x.Stream.Close()
		w.runInBackground()
	case engine.Background:
		w.runInBackground()
	case engine.AwaitsDisk:
		w.end()
		s.executed(x)
		s.deferDurable(&w.request, &x.Result, l.out[start:], w.arrived)
		l.out = l.out[:start]
	case engine.Answered:
		w.end()
		s.executed(x)
		if len(l.out)-start > engine.LargeReplyBytes {
			reply := s.srv.limitReply(append([]byte(nil), l.out[start:]...), &w.request, &x.Result)
			l.out = append(l.out[:start], reply...)
		}
		w.record(&x.Result, len(l.out)-start)
	}
}

// record records the request, which has its reply.
func (w *waiter) record(result *engine.Result, replyBytes int) {
	w.session.recordReturned(&returned{
		request: &w.request, result: result, requestBytes: w.request.FrameBytes(), replyBytes: replyBytes,
		arrived: w.arrived, execution: w.worked,
	})
}

// late ends the wait if the request's deadline has passed.
func (w *waiter) late() bool {
	s := w.session
	if s.srv.time.monotonic() < w.deadline {
		return false
	}
	w.end()
	s.loop.exec.Cost += lateCost
	s.refuseRequest(&w.request, lateError(&w.request), w.arrived)
	return true
}

// waited returns how long ago the request has arrived, in milliseconds.
func (w *waiter) waited() int64 {
	return (w.session.srv.time.monotonic() - w.arrived).Milliseconds()
}

// block makes the waiter wait until the table of the request in x is free.
func (w *waiter) block(x *engine.Executor) {
	if w.deadline != never {
		w.session.loop.timers.add(&w.timer, w.deadline)
	}
	w.unregister()
	cancel, waits := x.WhenFree(w.wake)
	w.cancel = cancel
	if !waits {
		w.wake()
	}
}

// runInBackground executes the request on its own goroutine.
func (w *waiter) runInBackground() {
	s := w.session
	w.away, w.missed = true, false
	from := engine.Origin{Waited: w.waited(), Resumed: w.wait, Connection: s}
	s.goBackground(func() {
		reply := s.executeWithin(w.deadline, s.srv.extraLong, &w.request, from)
		_ = s.conn.EventLoop().Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
			if w.away = false; !w.over {
				w.onLoop(func() { w.returned(&reply) })
			}
			return nil
		}))
	})
}

// returned takes the reply from the background.
func (w *waiter) returned(reply *backgroundReply) {
	s := w.session
	w.worked += reply.execution
	switch {
	case reply.wait == nil:
	case s.srv.draining.Load():
		w.refuse(shuttingDown())
		return
	case w.canceled != nil:
		w.refuse(w.canceled)
		return
	default:
		if again := w.stays(reply.wait) || w.missed; again && !w.late() {
			w.runInBackground()
		}
		return
	}
	w.end()
	frames := s.srv.limitReply(reply.frames, &w.request, &reply.result)
	s.loop.out = append(s.loop.out, frames...)
	w.record(&reply.result, len(frames))
	if reply.result.Internal {
		s.close()
	}
}

// refuse ends the wait, and replies why.
func (w *waiter) refuse(why *codec.Error) {
	w.end()
	w.session.refuseRequest(&w.request, why, w.arrived)
}

// end ends the wait. Nothing wakes the waiter any more.
func (w *waiter) end() {
	s := w.session
	if w.over {
		return
	}
	w.over, w.canceled = true, nil
	w.unregister()
	s.loop.timers.remove(&w.timer)
	s.srv.requests.release(len(w.request.Payload) + waiterBytes)
	s.srv.waiting.add(w.request.Op, -1)
	w.in.remove(w)
	w.wait.Over()
}
