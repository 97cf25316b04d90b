package loop

import (
	"errors"
	"fmt"
	"net"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

const (
	// maxLegacyReplyBytes is the largest reply.
	maxLegacyReplyBytes = 256 << 20
)

// legacyExecutor answers requests of CyberDB's wire. Each event loop has one, and each request in
// the background.
type legacyExecutor struct {
	legacy.Request
	call               shardmap.Call // to look tables up with
	frame, reply, body []byte        // room
}

// answer executes a request and returns the pickle of its reply, valid until the next call. execute
// executes a native request and returns its frames. Errors: legacy.ErrGarbage, wrapped;
// ErrPassword; legacy.ErrLong; execute's.
func (e *legacyExecutor) answer(
	srv *Server,
	message []byte,
	execute func(*codec.Request) ([]byte, error),
) ([]byte, error) {
	e.KeepOpaque(srv.cfg.LegacyOpaque)
	if err := e.Parse(message); err != nil {
		return nil, err
	}
	if !srv.isPassword(e.Password()) {
		return nil, ErrPassword
	}
	for {
		reply, err := e.attempt(srv, execute)
		if err == nil {
			return e.bounded(srv, reply), nil
		}
		var raised *legacy.Exception
		switch {
		case errors.As(err, &raised):
			e.reply = raised.AppendReply(e.reply[:0])
			return e.reply, nil
		// else the table was dropped, and created again, since the lookup
		case !errors.Is(err, legacy.ErrOtherKind):
			return nil, err
		}
	}
}

// bounded returns reply, or an error reply in its place if it is too large, by itself or because
// too much is unsent already.
func (e *legacyExecutor) bounded(srv *Server, reply []byte) []byte {
	text := ""
	switch {
	case len(reply) > maxLegacyReplyBytes:
		text = fmt.Sprintf(
			"the reply has %d bytes, and the limit is %d: ask for less at once",
			len(reply),
			maxLegacyReplyBytes,
		)
	case len(reply) > overLimitOutputBytes && srv.replies.overLimit() && !srv.engine.Mutates(e.Op):
		text = "too many replies are unsent, of all clients together: try again later, or ask for less"
	default:
		return reply
	}
	return legacy.NewException("RuntimeError", text).AppendReply(nil)
}

func (e *legacyExecutor) attempt(srv *Server, execute func(*codec.Request) ([]byte, error)) ([]byte, error) {
	if err := e.Translate(e.kindOf(srv)); err != nil {
		return nil, err
	}
	e.frame = codec.AppendRequest(e.frame[:0], &codec.Request{Op: e.Op, Args: e.Args})
	req, _, err := codec.ParseRequest(e.frame)
	if err != nil {
		return nil, legacy.NewException("ValueError", err.Error())
	}
	frames, err := execute(&req)
	if err != nil {
		return nil, err
	}
	status := codec.StatusOK
	e.body = e.body[:0]
	for len(frames) > 0 {
		frame, n, err := codec.ParseReply(frames)
		if err != nil {
			return nil, err
		}
		status, frames = frame.Status, frames[n:]
		e.body = append(e.body, frame.Body...)
	}
	reply, err := e.AppendReply(e.reply[:0], status, e.body)
	e.reply = reply
	e.trim()
	return reply, err
}

// trim frees the buffers that a large request has grown.
func (e *legacyExecutor) trim() {
	if cap(e.Args)+cap(e.reply)+cap(e.body) > 16*flushBytes {
		e.Args, e.frame, e.reply, e.body = nil, nil, nil, nil
	}
}

// kindOf returns the kind of the table that the request is for.
func (e *legacyExecutor) kindOf(srv *Server) legacy.Table {
	table, ok := srv.store.Lookup(&e.call, e.Table())
	switch {
	case !ok, table.Kind() == shardmap.KindLocks:
		return legacy.NoTable
	case table.Kind() == shardmap.KindList:
		return legacy.List
	}
	return legacy.Dict
}

// executeLegacy executes a request on the event loop. Errors: legacy.ErrLong, if it must run in the
// background.
func (s *session) executeLegacy(req *codec.Request) ([]byte, error) {
	l := s.loop
	x := l.exec
	if s.srv.engine.Mutates(req.Op) && s.srv.mustWait(false, len(req.Payload)) {
		return nil, legacy.ErrLong // it waits for the disk
	}
	last := x.LastLSN()
	l.beginPart()
	l.frame = x.Execute(l.frame[:0], req, nil)
	if x.LastLSN() != last {
		s.srv.flushJournal()
	}
	switch x.Outcome {
	case engine.Streams:
		x.Stream.Close()
		return nil, legacy.ErrLong
	case engine.Blocked, engine.Background:
		return nil, legacy.ErrLong
	case engine.Waits:
		l.frame = engine.AppendCannotWait(l.frame[:0], req)
	case engine.Answered, engine.AwaitsDisk: // mustWait said that it need not wait
	}
	s.srv.logRequest(s.peer, &x.Result)
	if l.observed.notes(x.Cost, req.FrameBytes()+len(l.frame)) {
		s.observe(req, len(l.frame))
	}
	s.recordRequest(req, &x.Result, len(l.frame))
	s.partExecuted()
	return l.frame, nil
}

// answerLegacy answers a request in the background. A panic in it closes the connection.
func (srv *Server) answerLegacy(w *worker, peer net.Addr, message []byte) (a legacyAnswer) {
	defer func() {
		if p := recover(); p != nil {
			a = legacyAnswer{err: srv.reportPanic("panic in the background", p, nil)}
		}
	}()
	var e legacyExecutor
	a.reply, a.err = e.answer(
		srv,
		message,
		func(req *codec.Request) ([]byte, error) {
			reply := srv.executeInBackground(w, peer, req, engine.Origin{})
			if reply.wait != nil {
				reply.frames = engine.AppendCannotWait(nil, req)
			}
			a.executed = reply
			return reply.frames, nil
		},
	)
	return a
}
