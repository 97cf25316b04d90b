package loop

import (
	"log/slog"
	"net"
	"runtime"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

const (
	// maxProcessors is how many goroutines work in the background at once, at most; see
	// backgroundProcessors.
	maxProcessors = 8
	// maxWorkers is how many requests are executed in the background at once, at most. Two of them,
	// one of each kind, have no processor of their own.
	maxWorkers = maxProcessors + 2
	// workerWait is how long a goroutine waits for a processor before it may work without one. One
	// goroutine of each kind may.
	workerWait = 300 * time.Millisecond
)

// backgroundProcessors returns how many goroutines work in the background at once: as many as there
// are processors that the loops leave, but at least one. A loop that finds all processors taken
// waits until the scheduler preempts a goroutine, which takes 10 ms for each goroutine that waits
// before it. On two processors, with eight hostile connections, the other clients' requests took 75
// ms (p99) with ten goroutines, 50 ms with two, 16 ms with one.
func backgroundProcessors(eventLoops int) int {
	return min(max(runtime.GOMAXPROCS(0)-eventLoops, 1), maxProcessors)
}

// runInBackground executes a request on its own goroutine. The session's further requests wait
// until it ends.
func (s *session) runInBackground(req *codec.Request) {
	budget := &s.srv.requests
	s.input.count(budget, 0, &s.srv.clock) // it leaves the session; limitInput counts what stays
	arrived := s.arrived()
	if !budget.admit(len(req.Args)) {
		s.refuseRequest(req, budget.limitError(), arrived)
		return
	}
	s.setState(background)
	own, deadline := req.Clone(), s.loop.passes(req)
	extra := s.srv.extraLong
	if s.loop.exec.Checks {
		extra = s.srv.extraShort
	}
	s.goBackground(func() {
		reply := s.executeWithin(deadline, extra, &own, engine.Origin{Connection: s})
		reply.deadline, reply.arrived = deadline, arrived
		budget.release(len(own.Args))
		reply.frames = s.srv.limitReply(reply.frames, &own, &reply.result)
		s.deferred.result.Store(&reply)
		s.wake()
		if s.gone.Load() {
			s.dropResult()
		}
	})
}

// executeWithin executes a request once there is a processor for it, unless its deadline has passed
// by then.
func (s *session) executeWithin(
	deadline time.Duration,
	extra chan struct{},
	req *codec.Request,
	from engine.Origin,
) (reply backgroundReply) {
	w := s.srv.beginWork(extra)
	defer w.end()
	if deadline != never && s.srv.time.monotonic() >= deadline {
		why := lateError(req)
		result := engine.Result{Op: req.Op, Status: why.Status}
		s.srv.logRequest(s.peer, &result)
		return backgroundReply{request: req, result: result, frames: engine.AppendError(nil, req.ID, why)}
	}
	return s.srv.executeInBackground(w, s.peer, req, from)
}

// worker is the right to work in the background, which few goroutines have at once. A goroutine
// gives it back before it waits for anything but a processor.
type worker struct {
	tokens  chan struct{}
	working bool
}

// beginWork waits for a processor. Goroutines get one in the order in which they ask, and a
// connection asks once at a time, so connections take turns. If that takes longer than workerWait,
// one goroutine of each kind may work without one, so that others do not wait for a request that
// takes seconds.
func (srv *Server) beginWork(extra chan struct{}) *worker {
	timeout := time.NewTimer(workerWait)
	defer timeout.Stop()
	select {
	case srv.processors <- struct{}{}:
		return &worker{srv.processors, true}
	case <-timeout.C:
	}
	select {
	case srv.processors <- struct{}{}:
		return &worker{srv.processors, true}
	case extra <- struct{}{}:
		return &worker{extra, true}
	}
}

// end gives the right back. It may be called more than once.
func (w *worker) end() {
	if w.working {
		w.working = false
		<-w.tokens
	}
}

// backgroundReply is the reply of a request that was executed in the background.
type backgroundReply struct {
	request   *codec.Request // nil: there is no reply, the session continues
	frames    []byte
	result    engine.Result
	arrived   time.Duration // in monotonic time
	execution time.Duration

	// of a request that waits: there is no reply yet
	wait     *engine.Wait
	deadline time.Duration
}

// dropResult forgets the reply from the background of a session that is closed.
func (s *session) dropResult() {
	if reply := s.deferred.result.Swap(nil); reply != nil {
		reply.wait.Over()
	}
}

// goBackground runs f on a goroutine that Stop waits for. A panic in it ends the connection.
func (s *session) goBackground(f func()) {
	s.srv.backgroundJobs.Add(1)
	s.srv.background.Go(func() {
		defer s.srv.backgroundJobs.Add(-1)
		defer s.endAfterPanic("panic in the background, connection closed")
		f()
	})
}

// endAfterPanic, deferred on a goroutine that works for the session, turns a panic into the end of
// the connection.
func (s *session) endAfterPanic(where string) {
	if p := recover(); p != nil {
		_ = s.srv.reportPanic(where, p, nil, slog.String("peer", peerName(s.peer)))
		_ = s.conn.Close()
	}
}

// executeInBackground executes a request that may take long and returns its reply. A panic in it
// becomes an error reply. The worker belongs to the caller, and ends before this waits for the
// disk.
func (srv *Server) executeInBackground(
	w *worker, peer net.Addr, req *codec.Request, from engine.Origin,
) backgroundReply {
	if srv.engine.Waits(req.Op) {
		w.end()
	}
	began := time.Now()
	frames, result := srv.engine.DoFor(nil, req, from)
	reply := backgroundReply{request: req, frames: frames, result: result, execution: time.Since(began)}
	if result.Outcome == engine.Waits {
		reply.wait = result.Wait
		return reply
	}
	srv.logRequest(peer, &result)
	if result.Outcome == engine.AwaitsDisk {
		w.end()
		srv.waitDurable(&reply)
	}
	return reply
}
