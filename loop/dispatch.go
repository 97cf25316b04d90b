package loop

import (
	"errors"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// readEvent takes what arrived, executes the complete requests in order, and answers them in one
// write. Execution and write may be deferred to the end of the iteration (iteration.go).
func (s *session) readEvent(in []byte) gnet.Action {
	s.loop.begin()
	if s.state == halfClosed {
		return s.drain()
	}
	if s.output.counted.Load() > 0 {
		s.countUnsent()
	}
	s.resume()
	if len(s.deferred.waiters()) > 0 && s.srv.draining.Load() {
		s.refuseWaiters()
	}
	s.closeTimedOut()
	s.closeEvicted()
	s.dropIdleKeys()
	if s.legacy == nil && s.speaksLegacy(in) {
		s.beginLegacy()
	}
	switch {
	case s.legacy != nil:
		if s.auth.login != nil || !s.deferRequests(in) {
			s.loop.readTime()
			s.serveLegacy(in)
		}
	case s.auth.login != nil:
		if in = s.logIn(in); s.auth.login == nil {
			s.serve(in)
		}
	default:
		s.serve(in)
	}
	if s.deferred.requests {
		return gnet.None // executePart continues with it
	}
	return s.answer()
}

// serve executes requests, or defers them, and buffers what is not used up.
func (s *session) serve(in []byte) {
	in, problem := s.open(in)
	if problem == nil && s.deferRequests(in) {
		s.records.trim()
		return
	}
	s.loop.readTime()
	budget := quantum
	if problem != nil {
		budget *= closingQuanta
		if s.state == preempted {
			s.setState(running)
		}
	}
	pending := s.input.pending(in)
	used := s.executeAll(pending, len(pending), budget)
	if problem != nil {
		s.streamEnded(problem)
	}
	s.saveRequests(pending, used, in)
	s.records.trim()
	s.limitInput()
}

// executeAll executes the requests at the front of pending in order until one is not complete, the
// session must wait, or their estimated cost has reached budget. The first own bytes are the
// session's. What follows them belongs to others and is executed next. It returns how many
// bytes are used up.
func (s *session) executeAll(pending []byte, own, budget int) (used int) {
	l := s.loop
	executed, last := uint64(0), l.exec.LastLSN()
	l.exec.Connection = s
	l.beginPart()
	for s.state == running && used < own {
		l.exec.Prefetch(pending[used:])
		req, n, err := codec.ParseRequest(pending[used:own])
		if err != nil && s.unparsed(err) {
			break
		}
		if l.exec.Cost >= budget {
			s.preempt()
			break
		}
		late := req.Flags&codec.FlagDeadline != 0 && err == nil && s.late(&req, used+n)
		if !late && !s.execute(&req, err) {
			break // executed later: the frame stays buffered
		}
		used += n
		executed++
		if len(l.out)-l.from >= flushBytes && !s.flush() {
			break
		}
	}
	l.requests.Add(executed)
	if executed > 0 {
		s.partExecuted()
	}
	l.changed = l.changed || l.exec.LastLSN() != last
	if used < own {
		l.exec.ResetPrefetch()
	}
	return used
}

// unparsed says whether err means that the next frame is not complete or cannot be parsed.
func (s *session) unparsed(err error) bool {
	bad := errors.Is(err, codec.ErrFrame)
	if bad {
		s.badFrame(err)
	}
	return bad || errors.Is(err, codec.ErrShort)
}

// execute answers one request. It returns false if the request must be executed later.
func (s *session) execute(req *codec.Request, problem error) bool {
	l := s.loop
	x := l.exec
	start := len(l.out)
	l.out = x.Execute(l.out, req, problem)
	if l.observed.notes(x.Cost, req.FrameBytes()+len(l.out)-start) {
		s.observe(req, len(l.out)-start)
	}
	switch x.Outcome {
	case engine.Blocked:
		s.block(x, l.passes(req))
		return false
	case engine.Background:
		s.runInBackground(req)
	case engine.Streams:
		if s.output.streams >= maxStreams {
			x.Stream.Close()
			s.setState(blocked) // until a stream ends
			s.deferred.ready.Store(false)
			s.blockUntil(l.passes(req))
			return false
		}
		s.startStream(req, x.Result)
	case engine.Waits:
		s.wait(req, x.Wait, l.passes(req), s.arrived())
	case engine.AwaitsDisk:
		s.executed(x)
		s.deferDurable(req, &x.Result, l.out[start:], s.arrived())
		l.out = l.out[:start]
	case engine.Answered:
		s.executed(x)
		if len(l.out)-start > engine.LargeReplyBytes {
			s.answerLarge(req, start)
			break
		}
		s.recordRequest(req, &x.Result, len(l.out)-start)
	}
	return true
}

// executed notes that a request was executed.
func (s *session) executed(x *engine.Executor) {
	if x.Internal {
		s.close()
	}
	s.srv.logRequest(s.peer, &x.Result)
}

// answerLarge takes the large reply that begins at out[start] out of there, to send it as a stream,
// if there is room for it.
func (s *session) answerLarge(req *codec.Request, start int) {
	l := s.loop
	result := &l.exec.Result
	reply := s.srv.limitReply(append([]byte(nil), l.out[start:]...), req, result)
	s.recordRequest(req, result, len(reply))
	if l.out = l.out[:start]; len(reply) > engine.LargeReplyBytes {
		s.sendLarge(reply)
	} else {
		l.out = append(l.out, reply...)
	}
}

// block makes the session wait until the table of the request in x is free, or the request's
// deadline passes.
func (s *session) block(x *engine.Executor, deadline time.Duration) {
	d := &s.deferred
	s.setState(blocked)
	d.ready.Store(false)
	unlocks := &d.waits().unlocks
	if unlocks.Load() >= maxUnlocks { // of tables that earlier requests have waited for
		s.blockUntil(min(deadline, s.srv.time.monotonic()+unlockInterval))
		return
	}
	s.blockUntil(deadline)
	unlocks.Add(1)
	if _, waits := x.WhenFree(func() { unlocks.Add(-1); d.ready.Store(true); s.wake() }); !waits {
		unlocks.Add(-1)
		d.ready.Store(true)
		s.wake()
	}
}

// resume ends the wait of a session if what it waits for has happened.
func (s *session) resume() {
	switch s.state {
	case blocked:
		if !s.output.large && s.deferred.ready.CompareAndSwap(true, false) {
			s.unblocked()
			s.setState(running)
			s.limitOutput()
		}
	case background:
		reply := s.deferred.result.Swap(nil)
		switch {
		case reply == nil:
		case reply.wait != nil:
			s.setState(running)
			s.wait(reply.request, reply.wait, reply.deadline, reply.arrived)
		case len(reply.frames) > engine.LargeReplyBytes:
			s.recordReply(reply)
			s.sendLarge(reply.frames)
		default:
			s.recordReply(reply)
			s.loop.out = append(s.loop.out, reply.frames...)
			s.setState(running)
			s.flush() // the next request may leave the loop again: check what is unsent now
			if reply.result.Internal {
				s.close()
			}
		}
	case paused:
		if s.output.drained(&s.srv.replies, s.conn.OutboundBuffered(), s.deferred.pendingDurable()) {
			s.setState(running)
			s.srv.sessions.unpause(s)
		}
		s.output.progress(s.unacknowledged(), s.srv.clock.nanos(), s.deferred.pendingDurable() > 0)
	case authenticating:
		s.loginWorked()
	case running, preempted, closing, parting, lingering, halfClosed, closed:
	}
	if s.state == running {
		s.input.unpause(s.conn.Fd())
	}
}
