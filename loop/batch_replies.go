package loop

import (
	"context"
	"runtime"

	"github.com/panjf2000/gnet/v2"
)

// Where clients and server share processors, it is better to read from all connections that are ready and then to answer all of them than to answer
// each at once: a client that is woken finds more replies. A round is what one wait for events has brought; gnet has no hook for its end, but
// executes what it is given behind the events. The replies of a turn wait for that if the round before was crowded.

const (
	// crowdedTurns is how many turns a round must have had for the replies of the next ones to wait.
	crowdedTurns = 4
	// probeTurns is how often a turn's replies wait though the rounds are not crowded, which tells when they are.
	probeTurns = 64
	// maxWaitingBytes of replies wait at most.
	maxWaitingBytes = 4 * flushBytes
)

// round is what an event loop knows of the present round. Owned by the event loop.
type round struct {
	waiting []waiting
	spare   []waiting // the list used before
	posted  bool      // Run will be called
	turns   int       // turns with replies in this round, if posted
	crowded bool      // the last round that was looked at
	probe   int
}

// waiting is the replies of one turn.
type waiting struct {
	session    *session
	start, end int // in eventLoop.out
}

// begin begins a turn: what is appended to l.out from here on is its own.
func (l *eventLoop) begin() {
	switch {
	case len(l.round.waiting) > 0:
	case cap(l.out) > 2*maxWaitingBytes:
		l.out = nil // a large reply's buffer is not kept
	default:
		l.out = l.out[:0]
	}
	l.from = len(l.out)
}

// replyLater leaves the turn's replies for the end of the round. It returns false if they are to be sent now.
func (s *session) replyLater() bool {
	l := s.loop
	r := &l.round
	if len(l.out) == l.from || s.state != running || s.login != nil || s.output.streams > 0 || s.srv.draining.Load() || s.conn.OutboundBuffered() > 0 {
		return false
	}
	if !s.joinRound() {
		return false
	}
	r.waiting = append(r.waiting, waiting{s, l.from, len(l.out)})
	s.deferred.replies = true
	if len(l.out) > maxWaitingBytes {
		l.replyAll()
	}
	return true
}

// joinRound counts the turn to the round, if that will have an end. It returns false if the turn is on its own.
func (s *session) joinRound() bool {
	r := &s.loop.round
	if !r.posted && !r.crowded {
		if r.probe++; r.probe%probeTurns != 0 {
			return false
		}
	}
	if !s.postRound() {
		return false
	}
	r.turns++
	return true
}

// postRound sees to it that the round will have an end. It returns false if the event loop ends before.
func (s *session) postRound() bool {
	r := &s.loop.round
	if !r.posted {
		r.posted = s.conn.EventLoop().Execute(context.Background(), s.loop) == nil
	}
	return r.posted
}

// syncLater has what the turn has changed synced, if that is waited for, at the end of the round: one sync for all of it.
func (s *session) syncLater() {
	if s.loop.changed && !s.joinRound() {
		s.loop.syncChanges(s.srv)
	}
}

// syncChanges has what was changed synced, if that is waited for.
func (l *eventLoop) syncChanges(srv *Server) {
	if l.changed {
		l.changed = false
		srv.flushJournal()
	}
}

// Run ends a round. gnet calls it on the event loop.
func (l *eventLoop) Run(context.Context) error {
	r := &l.round
	l.executeBatch()
	r.crowded = r.turns >= crowdedTurns
	r.posted, r.turns = false, 0
	l.syncChanges(l.srv)
	l.replyAll()
	l.yield(l.srv)
	return nil
}

// yield lets goroutines beside the loops run, if there may be some with work: without it they wait for tens of milliseconds.
func (l *eventLoop) yield(srv *Server) {
	if srv.besides.Load() > 0 || srv.logins.waiting.Load() > 0 || l.waits.Load() {
		runtime.Gosched()
	}
}

// replyAll sends the replies that wait.
func (l *eventLoop) replyAll() {
	r := &l.round
	list := r.waiting
	if len(list) == 0 {
		return
	}
	r.waiting, r.spare = r.spare[:0], nil
	for _, w := range list {
		if w.session.endTurn(l.out[w.start:w.end]) == gnet.Close {
			_ = w.session.conn.EventLoop().Close(w.session.conn)
		}
	}
	clear(list)
	r.spare = list[:0]
}

// endTurn sends the replies of a turn that waited. No panic crosses it.
func (s *session) endTurn(replies []byte) (action gnet.Action) {
	defer s.recoverTurn(&action)
	s.deferred.replies = false
	if s.conn.Context() == nil {
		return gnet.None
	}
	s.write(replies)
	return s.settle()
}
