package loop

import (
	"math/rand/v2"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/hotkeys"
	"cyberdb-fast/loop/requestlog"
)

// sampledEvery is one of how many requests is looked at for hot keys. The interval varies, so that
// requests which come in turns are all looked at.
const sampledEvery = 64

// smallCost is an estimate, in nanoseconds, up to which a request cannot be what makes a part slow.
const smallCost = 5000

// observed is what an event loop knows of the requests that it executes, for the logs of requests.
// A request of a part has no time of its own: reading the clock would cost more than the request.
// If a part is slow, its costliest request, by the estimate, is what is logged. Owned by the event
// loop.
type observed struct {
	hot       hotkeys.Sketch // other goroutines read it
	countdown int            // requests until one is looked at for hot keys
	bytes     int            // requestLogs.bytes as of the beginning of the part
	cost      int            // eventLoop.exec.Cost after the last request
	took      int            // the estimate of the last request
	most      int            // of a request beyond which it is the costliest
	costliest executedRequest
	at        time.Duration // when the part has begun, or a request of it was logged, in monotonic time
}

// executedRequest is a request of the present part.
type executedRequest struct {
	payload    []byte // a view into the input; nil: there is none
	status     codec.Status
	replyBytes int
}

// beginPart begins a part. It resets the executor's Cost.
func (l *eventLoop) beginPart() {
	l.exec.Cost = 0
	o := &l.observed
	o.cost, o.most, o.costliest.payload = 0, -1, nil
	o.at, o.bytes = l.record.partStarted, int(l.srv.logs.bytes.Load())
}

// notes says whether a request must be observed: it is the first or the costliest of its part, its
// key is to be sampled, or its bytes, with those of its reply, are many. cost is
// eventLoop.exec.Cost.
func (o *observed) notes(cost, bytes int) bool {
	o.countdown--
	o.took = cost - o.cost
	o.cost = cost
	return o.took > o.most || o.countdown < 0 || bytes > o.bytes
}

// observe looks at an executed request of the present part for which notes returned true. Its reply
// has so many bytes.
func (s *session) observe(req *codec.Request, replyBytes int) {
	l := s.loop
	o := &l.observed
	if o.took > o.most {
		o.most = max(o.took, smallCost)
		o.costliest = executedRequest{req.Payload, l.exec.Status, replyBytes}
	}
	if o.countdown < 0 {
		l.sampleKey()
	}
	if req.FrameBytes()+replyBytes > o.bytes {
		s.logNotable(req, replyBytes)
	}
}

// sampleKey counts the key of the request that was executed last, if it was for one.
func (l *eventLoop) sampleKey() {
	if key := l.exec.Key(); key != nil {
		l.observed.hot.Add(l.exec.TableName, key, l.began)
		l.observed.countdown = rand.IntN(2*sampledEvery - 1)
	}
}

// logNotable logs a request of the present part that may be large, or for a tail, if it has a
// reply.
func (s *session) logNotable(req *codec.Request, replyBytes int) {
	l := s.loop
	if l.exec.Outcome != engine.Answered && l.exec.Outcome != engine.AwaitsDisk {
		return
	}
	o, now := &l.observed, s.srv.time.monotonic()
	e := s.entry(req, l.exec.Status, replyBytes)
	e.Queue, e.Execution = o.at-s.arrived(), now-o.at
	o.at = now
	s.srv.logs.add(&e)
}

// observePart logs the present part, which ends now, if it is slow.
func (s *session) observePart(now time.Duration) {
	l := s.loop
	took, c := now-l.record.partStarted, &l.observed.costliest
	if int64(took) <= s.srv.logs.execution.Load() || c.payload == nil {
		return
	}
	req, err := codec.ParsePayload(c.payload)
	if err != nil {
		return
	}
	e := s.entry(&req, c.status, c.replyBytes)
	e.Queue, e.Execution = l.record.partStarted-s.arrived(), took
	s.srv.logs.slow.Add(&e)
}

// observeReturned looks at a request that belongs to no part, and has its reply now.
func (s *session) observeReturned(r *returned) {
	logs := &s.srv.logs
	slow := int64(r.execution) > logs.execution.Load()
	if !slow && int64(r.requestBytes+r.replyBytes) <= logs.bytes.Load() {
		return
	}
	e := s.entry(r.request, r.result.Status, r.replyBytes)
	if len(e.Table) == 0 {
		e.Table = r.result.TableName // of a request that was streamed
	}
	e.RequestBytes = r.requestBytes
	e.Queue, e.Execution = s.srv.time.monotonic()-r.arrived-r.execution, r.execution
	if slow {
		logs.slow.Add(&e)
	}
	logs.add(&e)
}

// entry returns what a log says of a request, without times. It is valid as long as the request.
func (s *session) entry(req *codec.Request, status codec.Status, replyBytes int) requestlog.Entry {
	table, key := s.srv.engine.Target(req)
	return requestlog.Entry{
		Op: req.Op, Status: status, Table: table, Key: key, Client: peerName(s.peer),
		RequestBytes: req.FrameBytes(), ReplyBytes: replyBytes,
	}
}

// add adds an entry to the logs of large requests and to the tail, where it belongs.
func (l *requestLogs) add(e *requestlog.Entry) {
	t := l.get()
	if e.RequestBytes > orNever(t.LargeRequest) {
		l.largeRequests.Add(e)
	}
	if e.ReplyBytes > orNever(t.LargeReply) {
		l.largeReplies.Add(e)
	}
	if l.tail.On() && !l.tail.Add(e) {
		l.tailChanged()
	}
}
