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
	// maxProcessors is how many goroutines work beside the loops at once, at most; see
	// backgroundProcessors.
	maxProcessors = 8
	// maxWorkers is how many requests are executed beside the loops at once, at most: two of them,
	// one of each kind, without a processor of their own.
	maxWorkers = maxProcessors + 2
	// workPatience is how long a goroutine waits for a processor before it may be one too many, of
	// which there is one of each kind.
	workPatience = 300 * time.Millisecond
)

// backgroundProcessors returns how many goroutines work beside the loops at once: as many as there
// are processors that the loops leave, but at least one. A loop that finds all processors taken
// waits until one is taken from a goroutine, which takes 10 ms for each that waits before it. With
// ten goroutines on two processors, requests of others took 75 ms (p99) beside eight hostile
// connections, with two 50 ms, with one 16 ms.
func backgroundProcessors(eventLoops int) int {
	return min(max(runtime.GOMAXPROCS(0)-eventLoops, 1), maxProcessors)
}

// runBeside executes a request on a goroutine of its own. The session's further requests wait for
// its end.
func (s *session) runBeside(req *codec.Request) {
	budget := &s.srv.requests
	s.input.count(budget, 0, &s.srv.clock) // it leaves the session; limitInput counts what stays
	if !budget.admit(len(req.Args)) {
		s.loop.out = engine.AppendError(s.loop.out, req.ID, budget.overLimit())
		return
	}
	s.to(background)
	own := req.Clone()
	extra := s.srv.extraLong
	if s.loop.exec.Checks {
		extra = s.srv.extraShort
	}
	s.goBeside(func() {
		w := s.srv.beginWork(extra)
		defer w.end()
		reply := s.srv.executeBeside(w, s.peer, &own)
		budget.release(len(own.Args))
		reply.frames = s.srv.withheld(reply.frames, &own)
		s.deferred.result.Store(&reply)
		s.wake()
	})
}

// worker is the right to work beside the loops, which few have at once. It is given back before
// anything else than work is waited for.
type worker struct {
	tokens  chan struct{}
	working bool
}

// beginWork waits for a processor. Goroutines get one in the order in which they ask, and a
// connection asks once at a time, so connections take turns. If that takes longer than
// workPatience, one goroutine of each kind may work without: a request that takes seconds keeps no
// others waiting that long.
func (srv *Server) beginWork(extra chan struct{}) *worker {
	patience := time.NewTimer(workPatience)
	defer patience.Stop()
	select {
	case srv.processors <- struct{}{}:
		return &worker{srv.processors, true}
	case <-patience.C:
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

// besideReply is the reply of a request that has run beside the loops.
type besideReply struct {
	frames []byte
	defect bool // it tells of a defect: the connection is closed after it
}

// goBeside runs f on a goroutine that Stop waits for. A panic in it ends the connection.
func (s *session) goBeside(f func()) {
	s.srv.besides.Add(1)
	s.srv.beside.Go(func() {
		defer s.srv.besides.Add(-1)
		defer s.endAfterPanic("panic beside the loops, connection closed")
		f()
	})
}

// endAfterPanic, deferred on a goroutine that works for the session, turns a panic into the end of
// the connection.
func (s *session) endAfterPanic(where string) {
	if p := recover(); p != nil {
		_ = s.srv.defect(where, p, nil, slog.String("peer", peerName(s.peer)))
		_ = s.conn.Close()
	}
}

// executeBeside executes a request that may take long and returns its reply. A panic in it becomes
// an error reply. The worker is the caller's; its work ends before the disk is waited for.
func (srv *Server) executeBeside(w *worker, peer net.Addr, req *codec.Request) besideReply {
	if srv.engine.Waits(req.Op) {
		w.end()
	}
	frames, result := srv.engine.Do(nil, req)
	srv.logRequest(peer, &result)
	if result.Outcome == engine.AwaitsDisk {
		w.end()
		frames = srv.awaitDisk(frames, result.LSN)
	}
	return besideReply{frames, result.Defect}
}
