package loop

import (
	"cmp"
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// An iteration of an event loop is one wait for events, and the work for those that came. Its
// order:
//
//  1. read: gnet calls OnTraffic for each connection that has bytes, which calls readEvent
//  2. collect: deferRequests keeps the requests, if the iteration is busy
//  3. execute: executeBatch, all that were kept, before any is answered
//  4. journal: syncChanges hands over what they have changed, one sync for all
//  5. reply: replyAll, one write for each session
//
// gnet has no hook for the end of an iteration, but executes what it is given after the events:
// Run, which does 3 to 5. Where clients and server share processors, this is better than to answer
// each request at once: the cache misses of lookups overlap (engine.Executor.Prefetch); reading,
// executing and writing each run many times in a row; and a client that is woken finds more
// replies.
//
// In an iteration that is not busy each read event does 3 and 5 itself.

const (
	// busyEvents is how many read events with replies make an iteration busy. In the next iteration
	// requests and replies wait for its end. A busy phase ends with an iteration of one read event,
	// since the number of events varies from iteration to iteration.
	busyEvents = 4
	// sampleInterval: while iterations are not busy, every sampleInterval-th read event waits for
	// the end of its iteration. The sample shows when iterations become busy.
	sampleInterval = 16
	// maxBatchedBytes is the most bytes of requests in one read event that may be deferred.
	maxBatchedBytes = 4 << 10
	// fullBatchBytes of deferred requests are executed before the iteration ends.
	fullBatchBytes = 64 << 10
	// maxWaitingBytes is the most bytes of replies that are deferred.
	maxWaitingBytes = 4 * flushBytes
)

// eventLoop is what the sessions of one event loop share. It is owned by that loop.
type eventLoop struct {
	srv  *Server // constant
	exec *engine.Executor
	iteration
	queue    runQueue
	sealed   []byte // replies in records
	legacy   legacyExecutor
	frame    []byte // a native reply, from which legacy makes its own
	requests atomic.Uint64
	timers   timers
	woken    wokenList
	resuming []*waiter     // woken, and not yet executed again
	ending   []*longWaits  // of sessions at their ends, whose waits have not all ended
	began    time.Duration // when the loop has read the time last, in monotonic time
	arrived  time.Duration // when the requests that are executed have arrived, in monotonic time
	deadline time.Duration // of the request that is executed, if it has one, in monotonic time
	record   record
	observed observed
	loopDurable
}

// iteration is what an event loop knows of its present iteration.
type iteration struct {
	out     []byte // the replies that are not sent
	from    int    // in out: where those of the read event begin
	batch   batch
	waiting []reply
	spare   []reply // the list used before
	posted  bool    // Run will be called
	events  int     // read events with replies, if posted
	busy    bool    // the last iteration that was looked at
	sample  int
}

// batch is the requests that wait, complete frames one after the other.
type batch struct {
	frames []byte
	parts  []part
}

// part is the requests of one session in a batch.
type part struct {
	session *session
	end     int           // in batch.frames
	arrived time.Duration // if one of the requests has a deadline, in monotonic time
}

// reply is the deferred replies of one read event.
type reply struct {
	session    *session
	start, end int // in iteration.out
}

// begin begins a read event: what is appended to out from here on belongs to it.
func (i *iteration) begin() {
	switch {
	case len(i.waiting) > 0:
	case cap(i.out) > 2*maxWaitingBytes:
		i.out = nil // a large reply's buffer is not kept
	default:
		i.out = i.out[:0]
	}
	i.from = len(i.out)
}

// deferRequests keeps what has arrived, requests or a message of CyberDB's wire, for the end of the
// iteration. It returns false if it must be executed now. While it waits, the session has nothing
// to write, so no write can fail and close it.
func (s *session) deferRequests(in []byte) bool {
	l := s.loop
	flags := codec.RequestFlags(0)
	switch {
	case !l.busy || len(in) == 0 || len(in) > maxBatchedBytes || !s.input.empty() || s.state != running,
		s.deferred.replies || len(l.out) > l.from || s.output.streams > 0 || s.unsent() || s.srv.draining.Load(),
		s.legacy == nil && !wholeFrames(in, &flags),
		!s.postRun():
		return false
	}
	b := &l.batch
	if len(b.frames) >= fullBatchBytes {
		l.executeBatch()
		l.begin()
	}
	b.frames = append(b.frames, in...)
	p := part{session: s, end: len(b.frames)}
	if flags&codec.FlagDeadline != 0 {
		p.arrived = s.srv.time.monotonic()
	}
	b.parts = append(b.parts, p)
	s.deferred.requests = true
	return true
}

// wholeFrames is codec.WholeFrames.
func wholeFrames(in []byte, flags *codec.RequestFlags) (whole bool) {
	*flags, whole = codec.WholeFrames(in)
	return whole
}

// Run is the end of an iteration. gnet calls it on the event loop.
func (l *eventLoop) Run(context.Context) error {
	l.executeBatch()
	l.busy = l.events >= busyEvents || l.busy && l.events > 1
	l.posted, l.events = false, 0
	l.syncChanges(l.srv)
	l.replyAll()
	l.yield(l.srv)
	return nil
}

// executeBatch executes the requests that wait, in the order in which they came.
func (l *eventLoop) executeBatch() {
	b := l.batch
	l.exec.ResetPrefetch()
	if len(b.parts) == 0 {
		return
	}
	l.batch = batch{}
	l.readTime()
	at := 0
	for _, p := range b.parts {
		l.arrived = cmp.Or(p.arrived, l.began)
		if p.session.executePart(b.frames[at:], p.end-at) == gnet.Close {
			_ = p.session.conn.EventLoop().Close(p.session.conn)
		}
		at = p.end
	}
	clear(b.parts)
	l.batch = batch{b.frames[:0], b.parts[:0]}
}

// executePart executes the session's part of a batch, the first own bytes of pending. No panic
// crosses it.
func (s *session) executePart(pending []byte, own int) (action gnet.Action) {
	defer s.recoverEvent(&action)
	s.deferred.requests = false
	s.loop.begin()
	in := pending[:own:own]
	if s.legacy != nil {
		s.serveLegacy(in)
	} else {
		s.saveRequests(in, s.executeAll(pending, own, quantum), in)
		s.limitInput()
	}
	return s.answer()
}

// answer ends a read event: its replies are sent, immediately or at the end of the iteration.
func (s *session) answer() gnet.Action {
	if s.deferReplies() {
		return gnet.None
	}
	s.deferSync()
	s.flush()
	return s.finishEvent()
}

// deferReplies keeps the replies of the read event for the end of the iteration. It returns false
// if they must be sent now.
func (s *session) deferReplies() bool {
	l := s.loop
	if len(l.out) == l.from || s.state != running || s.auth.login != nil || s.output.streams > 0 ||
		s.srv.draining.Load() ||
		s.conn.OutboundBuffered() > 0 {
		return false
	}
	if !s.joinIteration() {
		return false
	}
	l.waiting = append(l.waiting, reply{s, l.from, len(l.out)})
	s.deferred.replies = true
	if len(l.out) > maxWaitingBytes {
		l.replyAll()
	}
	return true
}

// joinIteration counts the read event among those of the iteration, if Run will be called. It
// returns false if the read event is on its own.
func (s *session) joinIteration() bool {
	i := &s.loop.iteration
	if !i.posted && !i.busy {
		if i.sample++; i.sample%sampleInterval != 0 {
			return false
		}
	}
	if !s.postRun() {
		return false
	}
	i.events++
	return true
}

// postRun makes gnet call Run. It returns false if the event loop ends before that.
func (s *session) postRun() bool {
	i := &s.loop.iteration
	if !i.posted {
		i.posted = s.conn.EventLoop().Execute(context.Background(), s.loop) == nil
	}
	return i.posted
}

// deferSync syncs what the read event has changed, if replies wait for that, at the end of the
// iteration: one sync for all of it. A read event whose own replies leave now was not taken into
// the sample of deferReplies; it joins only an iteration that has begun.
func (s *session) deferSync() {
	l := s.loop
	if !l.changed {
		return
	}
	if alone := len(l.out) > l.from && !l.posted; alone || !s.joinIteration() {
		l.syncChanges(s.srv)
	}
}

// syncChanges syncs what was changed, if replies wait for that.
func (l *eventLoop) syncChanges(srv *Server) {
	if l.changed {
		l.changed = false
		srv.flushJournal()
	}
}

// replyAll sends the replies that wait.
func (l *eventLoop) replyAll() {
	list := l.waiting
	if len(list) == 0 {
		return
	}
	l.waiting, l.spare = l.spare[:0], nil
	for _, r := range list {
		if r.session.flushDeferred(l.out[r.start:r.end]) == gnet.Close {
			_ = r.session.conn.EventLoop().Close(r.session.conn)
		}
	}
	clear(list)
	l.spare = list[:0]
}

// flushDeferred sends the deferred replies of one read event. No panic crosses it.
func (s *session) flushDeferred(replies []byte) (action gnet.Action) {
	defer s.recoverEvent(&action)
	s.deferred.replies = false
	if s.conn.Context() == nil {
		return gnet.None
	}
	s.write(replies)
	return s.finishEvent()
}

// yield lets goroutines in the background run, if there may be some: without it they wait for tens
// of milliseconds.
func (l *eventLoop) yield(srv *Server) {
	if srv.backgroundJobs.Load() > 0 || srv.logins.waiting.Load() > 0 || l.waits.Load() {
		runtime.Gosched()
	}
}
