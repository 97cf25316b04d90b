package loop

import (
	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
)

// In a crowded round (batch_replies.go) the requests of all connections are collected while it lasts and executed at its end, before any is answered: the cache
// misses of their lookups overlap (engine.Executor.Expect), and reading, executing and writing each run many times in a row.

const (
	// maxBatchedBytes of requests that arrived at once may wait.
	maxBatchedBytes = 4 << 10
	// fullBatchBytes of requests are executed though the round goes on.
	fullBatchBytes = 64 << 10
)

// batch is the requests that wait, whole frames one behind the other. Owned by the event loop.
type batch struct {
	frames []byte
	parts  []part
}

// part is the requests of one session in a batch.
type part struct {
	session *session
	end     int // in batch.frames
}

// executeLater leaves what has come to the batch: requests, or a message of CyberDB's. It returns false if it is to be executed now. While it waits, the
// session has nothing to write: so no write of its own can fail and close it.
func (s *session) executeLater(in []byte) bool {
	l := s.loop
	if !l.round.crowded || len(in) == 0 || len(in) > maxBatchedBytes || !s.input.empty() || s.state != running || s.deferred.replies ||
		len(l.out) > l.from || s.output.streams > 0 || s.unsent() || s.srv.draining.Load() || s.legacy == nil && !codec.WholeFrames(in) || !s.postRound() {
		return false
	}
	b := &l.batch
	if len(b.frames) >= fullBatchBytes {
		l.executeBatch()
		l.begin()
	}
	b.frames = append(b.frames, in...)
	b.parts = append(b.parts, part{s, len(b.frames)})
	s.deferred.requests = true
	return true
}

// executeBatch executes the requests that wait, in the order in which they came.
func (l *eventLoop) executeBatch() {
	b := l.batch
	l.batch = batch{}
	l.exec.ExpectOthers()
	at := 0
	for _, p := range b.parts {
		if p.session.executePart(b.frames[at:], p.end-at) == gnet.Close {
			_ = p.session.conn.EventLoop().Close(p.session.conn)
		}
		at = p.end
	}
	clear(b.parts)
	l.batch = batch{b.frames[:0], b.parts[:0]}
}

// executePart executes the session's part of a batch, the first own bytes of pending. No panic crosses it.
func (s *session) executePart(pending []byte, own int) (action gnet.Action) {
	defer s.recoverTurn(&action)
	s.deferred.requests = false
	s.loop.begin()
	in := pending[:own:own]
	if s.legacy != nil {
		s.serveLegacy(in)
	} else {
		s.save(in, s.executeAll(pending, own, quantum), in)
		s.limitInput()
	}
	return s.answer()
}
