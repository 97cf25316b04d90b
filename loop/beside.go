package loop

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"net"
	"runtime"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

const (
	// maxProcessors is how many goroutines work beside the loops at once, at most; see
	// backgroundProcessors.
	maxProcessors = 8
	// maxWorkers is how many requests are executed beside the loops at once, at most: two of them, one
	// of each kind, without a processor of their own.
	maxWorkers = maxProcessors + 2
	// workPatience is how long a goroutine waits for a processor before it may be one too many, of
	// which there is one of each kind.
	workPatience = 300 * time.Millisecond
	// maxServerStreams is how many long reads the server has under way; further ones are refused.
	maxServerStreams = 1024
	// maxStreamMakers is how many long reads have a frame at once, and no more than there are
	// processors, but two: while one makes a frame another's is sent. Each frame is a megabyte.
	maxStreamMakers = 8
	// streamAheadBytes is how much of a long read's reply may wait for the client to read.
	streamAheadBytes = 1 << 20
	minStreamPoll    = 2 * time.Millisecond
	maxStreamPoll    = 64 * time.Millisecond
)

// backgroundProcessors returns how many goroutines work beside the loops at once: as many as there
// are processors that the loops leave, but at least one. A loop that finds all processors taken
// waits until one is taken from a goroutine, which takes 10 ms for each that waits before it. With
// ten goroutines on two processors, requests of others took 75 ms (p99) beside eight hostile
// connections, with two 50 ms, with one 16 ms.
func backgroundProcessors(eventLoops int) int {
	return min(max(runtime.GOMAXPROCS(0)-eventLoops, 1), maxProcessors)
}

// streamMakers returns how many long reads have a frame at once.
func streamMakers() int { return min(max(runtime.GOMAXPROCS(0), 2), maxStreamMakers) }

// runBeside executes a request on a goroutine of its own. The session's further requests wait for its end.
func (s *session) runBeside(req *codec.Request) {
	held := &s.srv.held
	s.setHeld(0) // it leaves the session; limitHeld counts what stays
	if !held.admit(len(req.Args)) {
		s.loop.out = appendError(s.loop.out, req.ID, held.noRoom())
		return
	}
	s.state = beside
	own := req.Clone()
	extra := s.srv.extraLong
	if s.loop.exec.checks {
		extra = s.srv.extraShort
	}
	s.goBeside(func() {
		w := s.srv.beginWork(extra)
		defer w.end()
		reply := s.srv.executeBeside(w, s.peer, &own)
		held.release(len(own.Args))
		reply.frames = s.srv.withheld(reply.frames, &own)
		s.result.Store(&reply)
		s.wake()
	})
}

// worker is the right to work beside the loops, which few have at once. It is given back before anything else than work is waited for.
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

// endAfterPanic, deferred on a goroutine that works for the session, turns a panic into the end of the connection.
func (s *session) endAfterPanic(where string) {
	if p := recover(); p != nil {
		_ = s.srv.defect(where, p, nil, slog.String("peer", peerName(s.peer)))
		_ = s.conn.Close()
	}
}

// executeBeside executes a request that may take long and returns its reply. A panic in it becomes an error reply. The worker is the caller's; its work
// ends before the disk is waited for.
func (srv *Server) executeBeside(w *worker, peer net.Addr, req *codec.Request) besideReply {
	if commands[req.Op].waits {
		w.end()
	}
	reply, lsn := srv.workBeside(peer, req)
	if lsn > 0 {
		w.end()
		reply.frames = srv.awaitDisk(reply.frames, lsn)
	}
	return reply
}

// workBeside is executeBeside without the disk: the reply is to wait until all up to lsn is on disk, for nothing if that is 0.
func (srv *Server) workBeside(peer net.Addr, req *codec.Request) (reply besideReply, lsn uint64) {
	log := srv.takeLog()
	defer srv.putLog(log)
	drawn := log.drawn()
	x := executor{srv: srv, call: shardmap.Call{Beside: true, Memory: &srv.memory, Log: log.orNil()}}
	defer func() {
		if p := recover(); p != nil {
			err := srv.defect("panic beside the loops", p, &x.call, slog.String("op", req.Op.String()))
			reply, lsn = besideReply{appendError(nil, req.ID, err), true}, 0
		}
	}()
	working := keyMemory(req.Args)
	if err := srv.memory.Lend(working); err != nil {
		return besideReply{x.fail(nil, req, err), false}, 0
	}
	defer srv.memory.Return(working)
	var frames []byte
	for {
		frames = x.reply(frames[:0], req, nil)
		switch x.outcome {
		case outcomeAnswered:
			srv.logRequest(peer, req.Op, &x)
			return besideReply{frames, x.defect}, srv.awaited(req, x.status, drawn, log.drawn())
		case outcomeParked:
			free := make(chan struct{})
			if x.table.Wait(func() { close(free) }) {
				<-free
			}
		case outcomeStream:
			frames = x.collect(req)
			return besideReply{frames, x.defect}, 0
		case outcomeBeside:
			frames = x.fail(nil, req, errors.New("a request asked to run beside while it did"))
			return besideReply{frames, x.defect}, 0
		}
	}
}

const (
	// leastKeyMemory is how many bytes of arguments may be checked without counting what that takes.
	leastKeyMemory = 64 << 10
	// keyMemoryFactor is how many times the bytes of arguments their canonical keys take, and the sets that find equal keys.
	keyMemoryFactor = 4
)

// keyMemory returns the memory that it takes to check arguments and to look keys up, as far as it
// is counted: if some of them are opened.
func keyMemory(args []byte) int {
	if len(args) <= leastKeyMemory {
		return 0
	}
	for b := args; len(b) > 0; {
		if value.Opened(b[0]) {
			return keyMemoryFactor * len(args)
		}
		_, n := value.Cost(b, value.ToCheck, math.MaxInt)
		b = b[n:]
	}
	return 0
}

// collect makes the whole reply of a long read whose request was itself too large for the loop.
func (x *executor) collect(req *codec.Request) []byte {
	defer x.stream.close()
	if x.stream.begin != nil {
		x.stream.begin()
	}
	w := bodyWriter{body: make([]byte, codec.HeaderBytes, 4<<10), whole: true}
	if err := x.stream.write(&w); err != nil {
		return x.fail(nil, req, err)
	}
	out, at := codec.BeginReply(w.body[:0], req.ID, codec.StatusOK)
	return endReply(out[:len(w.body)], at)
}

// stream is a long read whose view is cut. begin, if there is one, is called first, before the
// session goes on; write makes the reply's body; close frees the view and is called once, after
// write if that is called.
type stream struct {
	begin func()
	write func(w *bodyWriter) error
	close func()
}

// bodyWriter takes the body of a long read's reply and sends it in frames as the client reads.
type bodyWriter struct {
	s     *session
	id    uint32
	op    codec.Opcode
	x     executor // what errors and the log tell of: the table's name
	whole bool     // collect everything
	large bool     // a reply that is ready
	makes bool     // it has one of the server's makers
	works *worker  // while it makes a frame; nil: a frame waits to be sent
	body  []byte   // begins with room for a frame's header
}

// startStream makes the reply of a long read on a goroutine of its own. The session goes on meanwhile.
func (s *session) startStream(req *codec.Request, x *executor) {
	read := x.stream
	if s.srv.streams.Add(1) > maxServerStreams {
		s.srv.streams.Add(-1)
		read.close()
		s.loop.out = appendError(s.loop.out, req.ID, &codec.Error{
			Status:  codec.StatusOverloaded,
			Message: fmt.Sprintf("%d long reads are under way already", maxServerStreams),
		})
		return
	}
	w := &bodyWriter{s: s, id: req.ID, op: req.Op, x: executor{srv: s.srv, name: append([]byte(nil), x.name...)}}
	s.send(w, read)
}

// sendLarge sends a reply that is made as its client reads. The session's further requests wait until that is done: of such replies, one at a
// time is in memory.
func (s *session) sendLarge(frames []byte) {
	s.srv.streams.Add(1)
	s.state, s.sendsLarge = parked, true
	w := &bodyWriter{s: s, id: binary.LittleEndian.Uint32(frames[4:]), large: true}
	unread := &s.srv.unread.bytes
	left := int64(len(frames))
	unread.Add(left)
	s.send(w, stream{close: func() { unread.Add(-left) }, write: func(w *bodyWriter) error {
		for {
			reply, n, err := codec.ParseReply(frames)
			if err != nil {
				return err
			}
			if n == len(frames) { // the last one, which end makes again
				w.begin()
				w.body = append(w.body, reply.Body...)
				return nil
			}
			if err := w.send(frames[:n], false); err != nil {
				return err
			}
			frames = frames[n:]
			left -= int64(n)
			unread.Add(int64(-n))
		}
	}})
}

// withheld returns a reply or, in the place of a large one of a read, the error that clients leave too much unread already: it would wait for its client
// too. What has changed a table must be told; the large ones of these replies carry what was taken out of it, or put into it.
func (srv *Server) withheld(reply []byte, req *codec.Request) []byte {
	if len(reply) <= largeReplyBytes || commands[req.Op].mutates || !srv.unread.scarce() {
		return reply
	}
	return appendError(nil, req.ID, srv.unread.tooMuch())
}

// send runs a stream on a goroutine of its own. The streams of a connection are made one after another: there is one socket for them.
func (s *session) send(w *bodyWriter, read stream) {
	s.streams++
	if read.begin != nil {
		s.state = beside
	}
	s.goBeside(func() {
		defer s.srv.streams.Add(-1)
		s.beginStream(read)
		s.sending.Lock()
		defer s.sending.Unlock()
		w.end(s.srv.writeStream(read, w))
	})
}

// beginStream runs a stream's begin, and lets the session go on.
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
	s.result.Store(&besideReply{})
	s.wake()
}

// writeStream runs a stream's write, once there is room for what it makes, and closes it. A panic in it becomes an error.
func (srv *Server) writeStream(read stream, w *bodyWriter) (err error) {
	defer read.close()
	if err := w.room(); err != nil {
		return err
	}
	w.begin()
	defer func() {
		if p := recover(); p != nil {
			err = srv.defect("panic in a long read", p, nil)
		}
	}()
	return read.write(w)
}

var (
	// errStalled is returned to a long read whose client does not read.
	errStalled = errors.New("the client does not read")
	// errGone is returned to a long read whose connection has ended.
	errGone = errors.New("the connection has ended")
)

func (w *bodyWriter) begin() {
	w.body = append(w.body[:0], make([]byte, codec.HeaderBytes)...)
}

// writeAll adds values to the body.
func (w *bodyWriter) writeAll(values iter.Seq[[]byte]) error {
	for val := range values {
		w.body = append(w.body, val...)
		if err := w.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// flushFull sends frames while there is more than one frame's body.
func (w *bodyWriter) flushFull() error {
	for !w.whole && len(w.body) > codec.HeaderBytes+codec.MaxReplyFrameBytes {
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
		frame = w.x.fail(frame[:0], &codec.Request{ID: w.id, Op: w.op}, err)
	} else {
		codec.EndFrame(frame, at)
	}
	if !w.large { // a reply that was ready has been logged
		w.s.srv.logRequest(w.s.peer, w.op, &w.x)
	}
	_ = w.send(frame, true)
}

// send gives a frame to the event loop and, unless it is the last one, waits until there is room for the next.
func (w *bodyWriter) send(frame []byte, last bool) error {
	w.stopWork()
	left, err := w.onLoop(func() {
		if last {
			w.s.streams--
			w.s.sendsLarge = w.s.sendsLarge && !w.large
			w.s.ready.Store(true)
			w.s.closing = w.s.closing || w.x.defect
		}
		w.s.active.Store(w.s.srv.clock.nanos())
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

// room waits until a frame may be made: the client has read all but streamAheadBytes of what is before it, and one of the server's makers is free.
//
// Errors: errStalled, errGone.
func (w *bodyWriter) room() error { return w.roomSince(math.MaxInt, time.Now()) }

// roomSince is room for a client of whose replies least were unread, since moved.
func (w *bodyWriter) roomSince(least int, moved time.Time) error {
	unread := &w.s.srv.unread
	for poll := minStreamPoll; ; poll = min(2*poll, maxStreamPoll) {
		w.s.srv.makers <- struct{}{}
		if w.makes = !w.s.gone.Load() && w.s.counted.Load() <= int64(unread.streamAhead()); w.makes {
			w.works = w.s.srv.beginWork(w.s.srv.extraShort)
			return nil
		}
		<-w.s.srv.makers
		w.body = nil // a megabyte; begin makes it anew
		left, err := w.onLoop(func() {})
		switch {
		case err != nil:
			return err
		case left.buffered <= unread.streamAhead():
			continue
		case left.unacknowledged < least:
			least, moved, poll = left.unacknowledged, time.Now(), minStreamPoll
		case time.Since(moved) > stalledTime:
			return errStalled
		}
		time.Sleep(poll)
	}
}

// stopWork lets others work.
func (w *bodyWriter) stopWork() {
	if w.works != nil {
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

// unsent is what a client has not read: what gnet holds, and that with what the kernel holds.
type unsent struct{ buffered, unacknowledged int }

// onLoop runs f on the session's event loop and returns what the client has not read then. Errors: errGone.
func (w *bodyWriter) onLoop(f func()) (left unsent, err error) {
	answered := make(chan unsent, 1)
	gone := make(chan struct{})
	err = w.s.conn.EventLoop().Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		if w.s.conn.Context() == nil || w.s.closing {
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
		answered <- unsent{w.s.countUnread(), w.s.unacknowledged()}
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

// runOnLoop calls f; false: it has panicked.
func (s *session) runOnLoop(f func()) bool {
	action := gnet.None
	func() {
		defer s.recoverTurn(&action)
		f()
	}()
	return action == gnet.None
}
