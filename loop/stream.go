package loop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

const (
	// maxServerStreams is how many long reads the server makes at once; further ones are refused.
	maxServerStreams = 1024
	// maxStreamMakers is the most long reads that have a frame at once; see streamMakers. Each
	// frame is a megabyte.
	maxStreamMakers = 8
	// streamAheadBytes is how much of a long read's reply may wait for the client to read.
	streamAheadBytes = 1 << 20
	minStreamPoll    = 2 * time.Millisecond
	maxStreamPoll    = 64 * time.Millisecond
)

// streamMakers returns how many long reads have a frame at once: as many as there are processors,
// but at least two, because one frame is sent while another is made.
func streamMakers() int { return min(max(runtime.GOMAXPROCS(0), 2), maxStreamMakers) }

// stream is a reply that is made as its client reads: the reply of a long read (engine.Stream), or
// a large one that is complete. begin, if there is one, is called first, before the session goes
// on. write makes the reply's body. close is called once, after write if that is called.
type stream struct {
	begin func()
	write func(w *bodyWriter) error
	close func()
}

// bodyWriter sends the body of a stream in frames as the client reads.
type bodyWriter struct {
	s      *session
	id     uint32
	result engine.Result // of a long read
	large  bool          // a reply that is complete
	makes  bool          // it holds one of the server's makers
	works  *worker       // while it makes a frame; nil: a frame waits to be sent
	began  time.Time     // to make the frame
	body   []byte        // begins with room for a frame's header
	served returned      // of a long read; what is recorded at its end
}

// startStream makes the reply of a long read on its own goroutine. The session continues
// meanwhile.
func (s *session) startStream(req *codec.Request, result engine.Result) {
	read := result.Stream
	if s.srv.streams.Add(1) > maxServerStreams {
		s.srv.streams.Add(-1)
		read.Close()
		s.refuseRequest(req, &codec.Error{
			Status:  codec.StatusOverloaded,
			Message: fmt.Sprintf("the server makes %d long reads already: try again later", maxServerStreams),
		}, s.arrived())
		return
	}
	result.TableName = bytes.Clone(result.TableName)
	served := returned{
		request:      &codec.Request{ID: req.ID, Op: req.Op, Flags: req.Flags},
		requestBytes: req.FrameBytes(),
		arrived:      s.arrived(),
	}
	s.send(
		&bodyWriter{s: s, id: req.ID, result: result, served: served},
		stream{read.Begin, func(w *bodyWriter) error { return read.Write(w) }, read.Close},
	)
}

// sendLarge sends a large reply as a stream. The session's further requests wait until that is
// done, so a session has one such reply in memory.
func (s *session) sendLarge(frames []byte) {
	s.srv.streams.Add(1)
	s.setState(blocked)
	w := &bodyWriter{s: s, id: binary.LittleEndian.Uint32(frames[4:]), large: true}
	unsent := &s.srv.replies.bytes
	left := int64(len(frames))
	unsent.Add(left)
	s.send(w, stream{close: func() { unsent.Add(-left) }, write: func(w *bodyWriter) error {
		for {
			reply, n, err := codec.ParseReply(frames)
			if err != nil {
				return err
			}
			if n == len(frames) { // the last one: end makes it again
				w.begin()
				w.body = append(w.body, reply.Body...)
				return nil
			}
			if err := w.send(frames[:n], false); err != nil {
				return err
			}
			frames = frames[n:]
			left -= int64(n)
			unsent.Add(int64(-n))
		}
	}})
}

// limitReply returns reply, or an Overloaded error in its place, which the result says then, if the
// reply is large and unsent replies already exceed their budget. Replies to writes are never
// replaced: the client must learn that the write happened.
func (srv *Server) limitReply(reply []byte, req *codec.Request, result *engine.Result) []byte {
	if len(reply) <= engine.LargeReplyBytes || srv.engine.Mutates(req.Op) || !srv.replies.overLimit() {
		return reply
	}
	result.Status = codec.StatusOverloaded
	return engine.AppendError(nil, req.ID, srv.replies.limitError())
}

// send runs a stream on its own goroutine. The streams of a connection are made one after
// another: there is one socket for them.
func (s *session) send(w *bodyWriter, read stream) {
	s.output.beginStream(w.large)
	if read.begin != nil {
		s.setState(background)
	}
	s.goBackground(func() {
		defer s.srv.streams.Add(-1)
		s.beginStream(read)
		s.output.sending.Lock()
		defer s.output.sending.Unlock()
		w.end(s.srv.writeStream(read, w))
	})
}

// beginStream runs a stream's begin, and lets the session continue.
func (s *session) beginStream(read stream) {
	if read.begin == nil {
		return
	}
	begun := false
	defer func() {
		if !begun { // a panic
			read.close()
		}
	}()
	read.begin()
	begun = true
	s.deferred.result.Store(&backgroundReply{})
	s.wake()
}

// writeStream runs a stream's write, once there is room for what it makes, and closes it. A panic
// in it becomes an error.
func (srv *Server) writeStream(read stream, w *bodyWriter) (err error) {
	defer read.close()
	if err := w.room(); err != nil {
		return err
	}
	w.begin()
	defer func() {
		if p := recover(); p != nil {
			err = srv.reportPanic("panic in a long read", p, nil)
		}
	}()
	return read.write(w)
}

var (
	// errStalled is returned if the client does not read.
	errStalled = errors.New("the client does not read")
	// errGone is returned if the connection has ended.
	errGone = errors.New("the connection has ended")
)

func (w *bodyWriter) begin() {
	w.body = append(w.body[:0], make([]byte, codec.HeaderBytes)...)
}

// Write adds a part of the body, and sends the frames that are full.
func (w *bodyWriter) Write(b []byte) (int, error) {
	w.body = append(w.body, b...)
	return len(b), w.flushFull()
}

// flushFull sends frames while there is more than one frame's body.
func (w *bodyWriter) flushFull() error {
	for len(w.body) > codec.HeaderBytes+codec.MaxReplyFrameBytes {
		const most = codec.HeaderBytes + codec.MaxReplyFrameBytes
		rest := append([]byte(nil), w.body[most:]...)
		frame, at := codec.BeginReply(w.body[:0], w.id, codec.StatusOK)
		frame = frame[:most]
		codec.SetMore(frame, at)
		codec.EndFrame(frame, at)
		if err := w.send(frame, false); err != nil {
			return err
		}
		w.begin()
		w.body = append(w.body, rest...)
	}
	return nil
}

// end sends the last frame: what is left of the body, or the error.
func (w *bodyWriter) end(err error) {
	defer w.release()
	switch {
	case errors.Is(err, errGone):
		return
	case errors.Is(err, errStalled):
		w.s.giveUp("replies not read", streamAheadBytes)
		_ = w.s.conn.Close()
		return
	}
	frame, at := codec.BeginReply(w.body[:0], w.id, codec.StatusOK)
	frame = frame[:len(w.body)]
	if err != nil {
		frame, w.result = w.s.srv.engine.Fail(frame[:0], w.id, w.result, err)
	} else {
		codec.EndFrame(frame, at)
	}
	if !w.large { // a complete reply has been logged
		w.s.srv.logRequest(w.s.peer, &w.result)
	}
	_ = w.send(frame, true)
}

// send gives a frame to the event loop and, unless it is the last one, waits until there is room
// for the next.
func (w *bodyWriter) send(frame []byte, last bool) error {
	w.stopWork()
	w.served.replyBytes += len(frame)
	left, err := w.onLoop(func() {
		if last {
			if !w.large { // a complete reply has been recorded
				w.served.result = &w.result
				w.s.recordReturned(&w.served)
			}
			w.s.output.endStream(w.large)
			w.s.deferred.ready.Store(true)
			if w.result.Internal {
				w.s.close()
			}
		}
		w.s.auth.heard(w.s.srv.clock.nanos())
		w.s.loop.begin()
		w.s.loop.out = append(w.s.loop.out, frame...)
		w.s.flush()
	})
	w.release()
	if last {
		w.s.wake()
	}
	if last || err != nil {
		return err
	}
	least, moved := left.unacknowledged, time.Now()
	return w.roomSince(least, moved)
}

// room waits until a frame may be made: the client has read all but streamAheadBytes of the frames
// before it, and one of the server's makers is free.
//
// Errors: errStalled, errGone.
func (w *bodyWriter) room() error { return w.roomSince(math.MaxInt, time.Now()) }

// roomSince is room for a client that has had least bytes unacknowledged since moved.
func (w *bodyWriter) roomSince(least int, moved time.Time) error {
	budget := &w.s.srv.replies
	for poll := minStreamPoll; ; poll = min(2*poll, maxStreamPoll) {
		w.s.srv.makers <- struct{}{}
		if w.makes = !w.s.gone.Load() && w.s.output.counted.Load() <= int64(budget.streamAhead()); w.makes {
			w.works = w.s.srv.beginWork(w.s.srv.extraShort)
			w.began = time.Now()
			return nil
		}
		<-w.s.srv.makers
		w.body = nil // a megabyte; begin allocates it again
		left, err := w.onLoop(func() {})
		switch {
		case err != nil:
			return err
		case left.buffered <= budget.streamAhead():
			continue
		case left.unacknowledged < least:
			least, moved, poll = left.unacknowledged, time.Now(), minStreamPoll
		case time.Since(moved) > stalledTime:
			return errStalled
		}
		time.Sleep(poll)
	}
}

// stopWork gives the worker back.
func (w *bodyWriter) stopWork() {
	if w.works != nil {
		w.served.execution += time.Since(w.began)
		w.works.end()
		w.works = nil
	}
}

// release gives the maker back.
func (w *bodyWriter) release() {
	w.stopWork()
	if w.makes {
		w.makes = false
		<-w.s.srv.makers
	}
}

// unsent is how many bytes a client has not read: those in gnet's buffer, and those with the
// kernel's.
type unsent struct{ buffered, unacknowledged int }

// onLoop runs f on the session's event loop and returns what is unsent afterwards. Errors: errGone.
func (w *bodyWriter) onLoop(f func()) (left unsent, err error) {
	answered := make(chan unsent, 1)
	gone := make(chan struct{})
	err = w.s.conn.EventLoop().Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		if w.s.conn.Context() == nil || w.s.ends() {
			close(gone)
			return nil
		}
		if !w.s.runOnLoop(f) {
			_ = w.s.conn.EventLoop().Close(w.s.conn)
		}
		if w.s.conn.Context() == nil { // closed in a write
			close(gone)
			return nil
		}
		answered <- unsent{w.s.countUnsent(), w.s.unacknowledged()}
		return nil
	}))
	if err != nil {
		return left, errGone
	}
	runtime.Gosched()
	select {
	case left = <-answered:
		return left, nil
	case <-gone:
	case <-w.s.srv.ending:
	}
	return left, errGone
}

// runOnLoop calls f. It returns false if f panicked.
func (s *session) runOnLoop(f func()) bool {
	action := gnet.None
	func() {
		defer s.recoverEvent(&action)
		f()
	}()
	return action == gnet.None
}

const (
	// maxStreams is how many long reads one connection may have at once.
	maxStreams = 16
)
