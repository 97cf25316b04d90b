package loop

import (
	"crypto/subtle"
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

// legacyExecutor answers requests of CyberDB's wire. Each event loop has one, and each request
// beside the loops.
type legacyExecutor struct {
	legacy.Request
	call               shardmap.Call // to look tables up with
	frame, reply, body []byte        // room
}

// answer executes a request and returns the pickle of its reply, good until the next call. execute
// executes one of the native protocol and returns its frames. Errors: legacy.ErrGarbage, wrapped;
// errLegacyPassword; legacy.ErrLong; execute's.
func (e *legacyExecutor) answer(
	srv *Server,
	message []byte,
	execute func(*codec.Request) ([]byte, error),
) ([]byte, error) {
	e.KeepOpaque(srv.cfg.LegacyOpaque)
	if err := e.Parse(message); err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(e.Password(), []byte(srv.cfg.Password)) != 1 {
		return nil, errLegacyPassword
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
		// else the table was dropped, and made again, since it was looked up
		case !errors.Is(err, legacy.ErrOtherKind):
			return nil, err
		}
	}
}

// bounded returns an error reply in the place of one that is too large, by itself or beside what is
// unread already.
func (e *legacyExecutor) bounded(srv *Server, reply []byte) []byte {
	text := ""
	switch {
	case len(reply) > maxLegacyReplyBytes:
		text = fmt.Sprintf(
			"the reply has %d bytes, and %d may be: ask for less at once",
			len(reply),
			maxLegacyReplyBytes,
		)
	case len(reply) > scarceUnreadBytes && srv.replies.scarce() && !srv.engine.Mutates(e.Op):
		text = "too much is unread by all clients together: ask again, or for less"
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

// trim lets room go that a large request has made.
func (e *legacyExecutor) trim() {
	if cap(e.Args)+cap(e.reply)+cap(e.body) > 16*flushBytes {
		e.Args, e.frame, e.reply, e.body = nil, nil, nil, nil
	}
}

// kindOf returns the kind of the table that the request is for.
func (e *legacyExecutor) kindOf(srv *Server) legacy.Table {
	table, ok := srv.store.Lookup(&e.call, e.Table())
	switch {
	case !ok:
		return legacy.NoTable
	case table.Kind() == shardmap.KindList:
		return legacy.List
	}
	return legacy.Dict
}

// executeLegacy executes a request on the event loop. Errors: legacy.ErrLong, if it is to run
// beside.
func (s *session) executeLegacy(req *codec.Request) ([]byte, error) {
	l := s.loop
	x := l.exec
	if s.srv.engine.Mutates(req.Op) && s.srv.mustWait(false, len(req.Payload)) {
		return nil, legacy.ErrLong // the disk is waited for
	}
	last := x.LastLSN()
	l.frame = x.Execute(l.frame[:0], req, nil)
	if x.LastLSN() != last {
		s.srv.flushJournal()
	}
	switch x.Outcome {
	case engine.Streams:
		x.Stream.Close()
		return nil, legacy.ErrLong
	case engine.Parked, engine.Background:
		return nil, legacy.ErrLong
	case engine.Answered, engine.AwaitsDisk: // there was room when it was asked
	}
	s.srv.logRequest(s.peer, &x.Result)
	return l.frame, nil
}

// answerLegacy answers a request beside the loops. A panic in it closes the connection.
func (srv *Server) answerLegacy(w *worker, peer net.Addr, message []byte) (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			reply, err = nil, srv.defect("panic beside the loops", p, nil)
		}
	}()
	var e legacyExecutor
	return e.answer(
		srv,
		message,
		func(req *codec.Request) ([]byte, error) { return srv.executeBeside(w, peer, req).frames, nil },
	)
}
