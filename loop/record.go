package loop

import (
	"sync/atomic"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/stats"
)

// Requests are recorded on the event loops, each once, when its reply is ready. A part is what one
// call of executeAll executes of one session. Its requests are ready at the same time, when it
// ends, so the clock is read once for all of them. A request that leaves the event loop, waits or
// is refused belongs to no part: it has times of its own. Requests whose clients have gone before
// their replies were ready are not recorded.

// record is what an event loop has recorded. It belongs to that loop.
type record struct {
	stats       *stats.Recorder
	partStarted time.Duration // when the present part has begun, in monotonic time

	// Other goroutines read these.

	states [states]atomic.Int64       // how many sessions are in each state
	copied atomic.Pointer[stats.Copy] // of stats, when it was last read
	asked  atomic.Bool                // a copy is on its way
}

func (r *record) init() {
	r.stats = stats.NewRecorder()
	r.copied.Store(r.stats.Copy())
}

// recordRequest records a request that the present part has answered, with so many bytes.
func (s *session) recordRequest(req *codec.Request, result *engine.Result, replyBytes int) {
	l := s.loop
	tag := uint64(stats.NoTable)
	if result.Table != nil {
		tag = l.srv.tags.Of(result.Table)
	}
	l.record.stats.Request(
		req.Op, result.Status, req.FrameBytes(), replyBytes, tag, result.Hits, result.Misses,
	)
}

// recordTable records the use of a table by a request that belongs to no part.
func (l *eventLoop) recordTable(result *engine.Result) {
	l.record.stats.Table(l.srv.tags.Of(result.Table), result.Hits, result.Misses)
}

// partExecuted ends a part that has executed something. It has begun at record.partStarted.
func (s *session) partExecuted() {
	l := s.loop
	now := s.srv.time.monotonic()
	l.record.stats.EndPart(now - s.arrived())
	s.observePart(now)
	l.record.partStarted = now
}

// returned is a request that belongs to no part, and has its reply now.
type returned struct {
	request      *codec.Request // without arguments, if it was streamed
	result       *engine.Result
	requestBytes int
	replyBytes   int
	arrived      time.Duration // in monotonic time
	execution    time.Duration // without the times at which it has waited; 0: it was not executed
}

// recordReturned records a request that belongs to no part.
func (s *session) recordReturned(r *returned) {
	l := s.loop
	latency := s.srv.time.monotonic() - r.arrived
	l.record.stats.Single(r.request.Op, r.result.Status, r.requestBytes, r.replyBytes, latency)
	if r.result.Table != nil {
		l.recordTable(r.result)
	}
	s.observeReturned(r)
}

// recordReply is recordReturned for a reply from the background, if it is one to a request.
func (s *session) recordReply(reply *backgroundReply) {
	if reply.request == nil {
		return
	}
	s.recordReturned(&returned{
		request: reply.request, result: &reply.result,
		requestBytes: reply.request.FrameBytes(), replyBytes: len(reply.frames),
		arrived: reply.arrived, execution: reply.execution,
	})
}

// recordDurable records a request whose reply has waited for the disk. The use of its table is
// recorded already.
func (s *session) recordDurable(m *pendingMark, replyBytes int) {
	s.loop.record.stats.Single(m.op, m.status, m.requestBytes, replyBytes, s.srv.time.monotonic()-m.arrived)
}

// refuseRequest answers a request that is not executed. It has arrived at a monotonic time.
func (s *session) refuseRequest(req *codec.Request, why *codec.Error, arrived time.Duration) {
	l := s.loop
	start := len(l.out)
	l.out = engine.AppendError(l.out, req.ID, why)
	result := engine.Result{Op: req.Op, Status: why.Status}
	s.srv.logRequest(s.peer, &result)
	s.recordReturned(&returned{
		request: req, result: &result, requestBytes: req.FrameBytes(), replyBytes: len(l.out) - start, arrived: arrived,
	})
}

// arrived returns when the session's next request has arrived, in monotonic time.
func (s *session) arrived() time.Duration { return s.deferred.arrived(1, s.loop.arrived) }
