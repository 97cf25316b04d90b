package loop

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/valyala/bytebufferpool"
	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

const (
	readBufferBytes = 64 << 10

	// flushBytes is how many bytes of replies are collected before they are written within a turn.
	flushBytes = 64 << 10
	// softUnreadBytes is how many bytes of replies a client may leave unread before its requests wait.
	softUnreadBytes = 16 << 20
	// hardUnreadBytes ends a connection that leaves this much unread.
	hardUnreadBytes = 64 << 20
	// stalledTime ends a paused connection that reads nothing for this long.
	stalledTime = 30 * time.Second
	// maxAheadBytes ends a connection that sends this much while its requests wait.
	maxAheadBytes = codec.MaxFrameBytes + 16<<20
	// pauseReadBytes is how many bytes may wait before the socket is left unread.
	pauseReadBytes = 1 << 20
	// lingerTime is how long a client may take to read the last replies, or to close when the server stops.
	lingerTime = time.Second
	// handshakeTime is how long a client may take until it has proved the password.
	handshakeTime = 5 * time.Second
	// maxStreams is how many long reads one connection may have under way.
	maxStreams = 16
)

// state says what a session's requests wait for.
type state uint8

const (
	running   state = iota
	preempted       // for its next quantum of the event loop's time
	parked          // for a table that a long write owns, for a long read to end, or for a large reply to be sent
	beside          // for a request of its own that runs beside the loop
	paused          // for its client to read replies
	lingering       // for its client to read the last replies; then it is closed
	proving         // for the arithmetic of its login
)

// session is one connection.
type session struct {
	// constant after open
	srv  *Server
	conn gnet.Conn
	loop *eventLoop
	peer net.Addr

	// owned by the event loop
	login      *login                     // nil once the password is proved
	legacy     *legacySession             // nil: a native connection
	records    *records                   // nil: the connection is not encrypted
	carry      *bytebufferpool.ByteBuffer // bytes that came and are not used up; nil: none
	carryUsed  int                        // of carry
	state      state
	closing    bool        // close once the replies are out
	readsLess  bool        // the socket is left unread
	streams    int         // long reads and large replies under way
	sendsLarge bool        // one of them is a large reply
	inBatch    bool        // requests of it wait for the end of the round
	inRound    bool        // replies of it do
	toDisk     heldReplies // wait for the disk
	unread     int         // bytes of replies the client had left at the last look while paused
	lookedAt   time.Time
	parts      bool // closing: the connection is half closed first
	halfClosed bool // the server has said its last word; since lookedAt
	heldSince  time.Time

	// written by the event loop, read by the sweeper
	active  atomic.Int64 // unix nanoseconds
	greeted atomic.Bool
	busy    atomic.Bool  // a reply is due or is being read: the connection is not idle
	gone    atomic.Bool  // closed; read by the workers of logins too
	unready atomic.Bool  // its login waits for a worker
	counted atomic.Int64 // bytes of it in the server's count of unread ones
	held    atomic.Int64 // bytes of it in the server's count of held ones; since heldSince

	// how long it may be silent without a proof, in nanoseconds
	patience atomic.Int64
	begun    atomic.Bool // of CyberDB's wire: the rest of a short message is due

	// held by the long read, or the large reply, that is being made
	sending sync.Mutex

	// written by the sweeper, taken by the event loop
	overdue atomic.Bool // slow to prove itself, or idle

	// written by the acceptor, taken by the event loop
	ceded atomic.Bool // its place is another's

	// written by whoever ends the wait, taken by the event loop
	ready  atomic.Bool                 // parked, proving: the wait is over
	result atomic.Pointer[besideReply] // beside
}

func newSession(srv *Server, peer net.Addr) *session {
	s := &session{srv: srv, peer: peer, login: newLogin(srv, peer)}
	s.active.Store(time.Now().UnixNano())
	s.patience.Store(int64(srv.firstPatience(peer)))
	return s
}

// handler joins gnet to the sessions.
type handler struct {
	gnet.BuiltinEventEngine
	srv *Server
}

// OnOpen is called on the event loop that a connection was given to.
func (h *handler) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	if b, isBell := c.Context().(*bell); isBell {
		b.loop = h.srv.loopOf(c.EventLoop())
		b.loop.queue.bell = b
		return nil, gnet.None
	}
	s := c.Context().(*session)
	s.conn = c
	s.loop = h.srv.loopOf(c.EventLoop())
	h.srv.sessions.add(s)
	h.srv.unproven.enter(s)
	h.srv.clock.start() // the sweeper is to see it
	return nil, gnet.None
}

// OnClose is called once for each opened connection, also from inside a write that fails.
func (h *handler) OnClose(c gnet.Conn, err error) gnet.Action {
	s, isSession := c.Context().(*session)
	if !isSession {
		return gnet.None // a bell's, at the end
	}
	if s.inBatch {
		s.loop.executeBatch() // it came before the end
	}
	if s.inRound {
		s.loop.replyAll()
	}
	if s.state == preempted && errors.Is(err, io.EOF) {
		s.finish() // it came before the end
	}
	h.srv.sessions.remove(s)
	if s.login == nil || h.srv.unproven.leave(s) {
		h.srv.conns.Add(-1)
	}
	s.closing = true
	s.gone.Store(true)
	s.setUnread(0)
	s.setHeld(0)
	s.dropCarry()
	s.toDisk = heldReplies{}
	s.records.drop()
	s.releaseUnproven()
	s.countReply(0)
	return gnet.None
}

// OnTraffic is called when bytes have arrived and when the session was woken. The bytes are good until it returns. No panic crosses it.
func (h *handler) OnTraffic(c gnet.Conn) (action gnet.Action) {
	s, isSession := c.Context().(*session)
	if !isSession {
		h.ring(c)
		return gnet.None
	}
	defer s.recoverTurn(&action)
	if s.inBatch {
		s.loop.executeBatch() // what it has asked before comes first
		if c.Context() == nil {
			return gnet.None
		}
	}
	in, _ := c.Next(-1)
	if len(in) > 0 && s.login == nil {
		s.active.Store(h.srv.clock.nanos())
	}
	action = s.turn(in)
	if !s.loop.round.posted {
		s.loop.yield(h.srv)
	}
	return action
}

// ring answers the bell of an event loop.
func (h *handler) ring(c gnet.Conn) {
	_, _ = c.Next(-1)
	l := c.Context().(*bell).loop
	l.serveQueue()
	if !l.round.posted {
		l.yield(h.srv)
	}
}

// turn takes what arrived, executes the requests that are complete, in order, and answers them in one write. The executing may wait for the end of the
// round (batch.go), the write too (round.go).
func (s *session) turn(in []byte) gnet.Action {
	s.loop.begin()
	if s.halfClosed {
		return s.drain()
	}
	if s.counted.Load() > 0 {
		s.countUnread()
	}
	s.resume()
	s.closeOverdue()
	s.closeCeded()
	if s.legacy == nil && s.speaksLegacy(in) {
		s.beginLegacy()
	}
	switch {
	case s.legacy != nil:
		if s.login != nil || !s.executeLater(in) {
			s.serveLegacy(in)
		}
	case s.login != nil:
		if in = s.logIn(in); s.login == nil {
			s.serve(in)
		}
	default:
		s.serve(in)
	}
	if s.inBatch {
		return gnet.None // its turn goes on with executePart
	}
	return s.answer()
}

// answer ends a turn: its replies are sent, at once or at the end of the round.
func (s *session) answer() gnet.Action {
	if s.replyLater() {
		return gnet.None
	}
	s.syncLater()
	s.flush()
	return s.settle()
}

// serve executes requests, or leaves them to the batch, and keeps what is not used up.
func (s *session) serve(in []byte) {
	in, problem := s.open(in)
	if problem == nil && s.executeLater(in) {
		s.records.keep()
		return
	}
	budget := quantum
	if problem != nil {
		budget *= closingQuanta
		if s.state == preempted {
			s.state = running
		}
	}
	pending := s.pending(in)
	used := s.executeAll(pending, len(pending), budget)
	if problem != nil {
		s.streamEnded(problem)
	}
	s.keep(pending, used, in)
	s.records.keep()
	s.limitHeld()
}

// executeAll executes the requests at the front of pending in order until one is not complete, the
// session must wait, or their estimated cost has reached budget. Those in the first own bytes are
// the session's; what stands behind them is executed next. It returns how many bytes are used up.
func (s *session) executeAll(pending []byte, own, budget int) (used int) {
	l := s.loop
	executed, last := uint64(0), l.exec.LastLSN()
	l.exec.Cost = 0
	for s.state == running && !s.closing && used < own {
		l.exec.Expect(pending[used:])
		req, n, err := codec.ParseRequest(pending[used:own])
		if errors.Is(err, codec.ErrShort) {
			break
		}
		if errors.Is(err, codec.ErrFrame) {
			s.badFrame(err)
			break
		}
		if l.exec.Cost >= budget {
			s.preempt()
			break
		}
		if !s.execute(&req, err) {
			break // executed later: the frame is kept
		}
		used += n
		executed++
		if len(l.out)-l.from >= flushBytes && !s.flush() {
			break
		}
	}
	l.requests.Add(executed)
	l.changed = l.changed || l.exec.LastLSN() != last
	if used < own {
		l.exec.ExpectOthers()
	}
	return used
}

// pending returns the bytes to be used up: what was kept, then in.
func (s *session) pending(in []byte) []byte {
	if s.carry == nil {
		return in
	}
	s.carry.B = append(s.roomFor(len(in)), in...)
	return s.carry.B[s.carryUsed:]
}

// keep keeps what is left of pending, of which used bytes are done with, for the next turn. in is what pending began with.
func (s *session) keep(pending []byte, used int, in []byte) {
	rest := pending[used:]
	switch {
	case s.closing || len(rest) == 0:
		s.dropCarry()
	case s.carry == nil:
		s.carry = bytebufferpool.Get()
		s.carry.B = append(s.carry.B, in[used:]...)
	default:
		s.carryUsed += used
		if s.carryUsed > len(s.carry.B)/2 {
			s.carry.B = s.carry.B[:copy(s.carry.B, s.carry.B[s.carryUsed:])]
			s.carryUsed = 0
		}
	}
}

func (s *session) dropCarry() {
	if s.carry != nil {
		if cap(s.carry.B) <= pauseReadBytes { // a large one would be kept, and lent for small frames
			bytebufferpool.Put(s.carry)
		}
		s.carry, s.carryUsed = nil, 0
	}
}

// execute answers one request. It returns false if the request must be executed later.
func (s *session) execute(req *codec.Request, problem error) bool {
	l := s.loop
	x := l.exec
	start := len(l.out)
	l.out = x.Execute(l.out, req, problem)
	switch x.Outcome {
	case engine.Parked:
		s.park(x)
		return false
	case engine.Background:
		s.runBeside(req)
	case engine.Streams:
		if s.streams >= maxStreams {
			x.Stream.Close()
			s.state = parked // until a stream ends
			s.ready.Store(false)
			return false
		}
		s.startStream(req, x.Result)
	case engine.AwaitsDisk:
		s.executed(x)
		s.holdReply(l.out[start:], x.LSN, req.Flags&codec.FlagDurable != 0)
		l.out = l.out[:start]
	case engine.Answered:
		s.executed(x)
		if len(l.out)-start > engine.LargeReplyBytes {
			reply := s.srv.withheld(append([]byte(nil), l.out[start:]...), req)
			if l.out = l.out[:start]; len(reply) > engine.LargeReplyBytes {
				s.sendLarge(reply)
			} else {
				l.out = append(l.out, reply...)
			}
		}
	}
	return true
}

// executed notes that a request has a reply.
func (s *session) executed(x *engine.Executor) {
	s.closing = s.closing || x.Defect
	s.srv.logRequest(s.peer, &x.Result)
}

// park lets the session wait until the table of the request in x is free.
func (s *session) park(x *engine.Executor) {
	s.state = parked
	s.ready.Store(false)
	if !x.Wait(func() { s.ready.Store(true); s.wake() }) {
		s.ready.Store(true)
		s.wake()
	}
}

// resume ends the wait of a session if what it waits for has come.
func (s *session) resume() {
	switch s.state {
	case parked:
		if !s.sendsLarge && s.ready.CompareAndSwap(true, false) {
			s.state = running
			s.pauseUnread()
		}
	case beside:
		reply := s.result.Swap(nil)
		switch {
		case reply == nil:
		case len(reply.frames) > engine.LargeReplyBytes:
			s.sendLarge(reply.frames)
		default:
			s.loop.out = append(s.loop.out, reply.frames...)
			s.state = running
			s.flush() // the next request may leave the loop again: this is when to see what is unread
			s.closing = s.closing || reply.defect
		}
	case paused:
		if s.countUnread()+len(s.toDisk.frames) < s.srv.unread.soft()/2 {
			s.state = running
			s.srv.sessions.unpause(s)
		}
		if unread := s.unacknowledged(); unread < s.unread || s.toDisk.waits() { // a slow disk is not the client's fault
			s.unread, s.lookedAt = unread, s.srv.clock.now()
		}
	case proving:
		s.proved()
	case running, preempted, lingering:
	}
	if s.readsLess && s.state == running && !s.closing {
		s.readsLess = false
		setReadLow(s.conn.Fd(), 1)
	}
}

// flush writes the replies collected so far and pauses the session if its client does not read. It returns false if the
// connection is closed.
func (s *session) flush() bool {
	l := s.loop
	if s.inRound {
		l.replyAll() // those of its earlier turns come first
	}
	if len(l.out) == l.from || s.conn.Context() == nil {
		return !s.closing
	}
	s.write(l.out[l.from:])
	l.out = l.out[:l.from]
	return !s.closing
}

// write sends replies.
func (s *session) write(replies []byte) {
	out, err := s.seal(replies)
	if err == nil {
		_, err = s.conn.Write(out)
	}
	if err != nil {
		s.closing = true // if it was the write's, gnet has closed it
		return
	}
	s.pauseUnread()
}

// pauseUnread pauses a running session whose client does not read, or for which many bytes wait for the disk: they would leave all at once.
func (s *session) pauseUnread() {
	if unread := s.countUnread() + len(s.toDisk.frames); unread > s.srv.unread.soft() && s.state == running {
		s.state, s.unread, s.lookedAt = paused, s.unacknowledged(), s.srv.clock.now()
		s.srv.sessions.pause(s)
	}
}

// unacknowledged returns how many bytes of replies the client has not taken yet, the kernel's buffer included: gnet's own moves only in
// steps of megabytes while a client reads slowly.
func (s *session) unacknowledged() int {
	n, err := unix.IoctlGetInt(s.conn.Fd(), unix.SIOCOUTQ)
	if err != nil {
		n = 0
	}
	return s.conn.OutboundBuffered() + n
}

// settle ends a turn: it closes what must be closed and leaves the socket unread if the session waits with much in hand.
func (s *session) settle() gnet.Action {
	if s.conn.Context() == nil { // closed in a write
		return gnet.None
	}
	action := s.verdict()
	if action == gnet.Close {
		s.end()
	}
	return action
}

func (s *session) verdict() gnet.Action {
	waiting := 0
	if s.carry != nil {
		waiting = len(s.carry.B) - s.carryUsed
	}
	if busy := s.state != running || s.streams > 0 || s.unsent(); busy != s.busy.Load() {
		s.active.Store(s.srv.clock.nanos())
		s.busy.Store(busy)
	}
	switch {
	case s.closing:
		return s.closeWhenRead()
	case s.conn.OutboundBuffered() > hardUnreadBytes:
		return s.giveUp("replies not read", s.conn.OutboundBuffered())
	case s.state == paused && s.srv.clock.now().Sub(s.lookedAt) > stalledTime:
		return s.giveUp("replies not read", s.conn.OutboundBuffered())
	case s.state != running && waiting > maxAheadBytes:
		return s.giveUp("requests sent ahead", waiting)
	case s.srv.draining.Load():
		return s.drain()
	}
	if s.state != running && waiting > pauseReadBytes && !s.readsLess {
		s.readsLess = true
		setReadLow(s.conn.Fd(), maxAheadBytes)
	}
	return gnet.None
}

// unsent says whether there are replies that have not been given to the kernel.
func (s *session) unsent() bool { return s.conn.OutboundBuffered() > 0 || s.toDisk.waits() }

// closeWhenRead closes the connection once the client has taken the last replies, or reads nothing for lingerTime.
func (s *session) closeWhenRead() gnet.Action {
	switch {
	case s.unsent():
	case s.parts:
		return s.part()
	default:
		return gnet.Close
	}
	now := s.srv.clock.now()
	if s.state != lingering {
		s.state, s.lookedAt = lingering, now
		s.srv.sessions.pause(s)
	}
	if now.Sub(s.lookedAt) > lingerTime {
		return gnet.Close
	}
	return gnet.None
}

// drain ends a session while the server stops: when all that has arrived is answered and taken, the client is told that no more will come, and
// closes, or is closed after lingerTime. Closing at once would reset the connection if a request is on its way, and replies could be lost.
func (s *session) drain() gnet.Action {
	if s.state != running || s.streams > 0 || s.unsent() || s.inExchange() || s.conn.InboundBuffered() > 0 {
		return gnet.None
	}
	if s.halfClosed {
		if s.srv.clock.now().Sub(s.lookedAt) > lingerTime || s.ceded.Load() {
			return gnet.Close
		}
		return gnet.None
	}
	if n, err := unix.IoctlGetInt(s.conn.Fd(), unix.SIOCINQ); err == nil && n > 0 {
		return gnet.None // a turn will come
	}
	return s.halfClose()
}

// halfClose ends the server's side of the connection. What the client sends from here on is
// dropped.
func (s *session) halfClose() gnet.Action {
	s.end()
	if s.conn.Context() == nil || s.conn.OutboundBuffered() > 0 { // closed in the write, or not all of it is out
		return gnet.None
	}
	if err := unix.Shutdown(s.conn.Fd(), unix.SHUT_WR); err != nil {
		return gnet.Close
	}
	s.halfClosed, s.lookedAt = true, s.srv.clock.now()
	return gnet.None
}

func (s *session) giveUp(why string, bytes int) gnet.Action {
	s.srv.counters.overrun.Add(1)
	s.srv.acceptLog.warn("connection closed", slog.String("peer", peerName(s.peer)), slog.String("reason", why), slog.Int("bytes", bytes))
	return gnet.Close
}

// badFrame answers a frame that cannot be parsed; the connection is beyond repair.
func (s *session) badFrame(err error) {
	s.srv.counters.badFrames.Add(1)
	s.srv.acceptLog.warn("connection closed", slog.String("peer", peerName(s.peer)), reasonOf(err))
	s.loop.out = engine.AppendError(s.loop.out, 0, &codec.Error{Status: codec.StatusBadFrame, Message: err.Error()})
	s.closing = true
}

// recoverTurn, deferred, turns a panic into the end of the connection. It counts and logs the defect.
func (s *session) recoverTurn(action *gnet.Action) {
	p := recover()
	if p == nil {
		return
	}
	*action = gnet.Close
	_ = s.srv.defect("panic, connection closed", p, s.loop.exec.Call(), slog.String("peer", peerName(s.peer)), slog.String("op", s.loop.exec.Op.String()))
}

// wake lets the session's event loop take a turn. It may be called from any goroutine.
func (s *session) wake() { _ = s.conn.Wake(nil) }

// logRequest logs a request that has been answered, if that is wanted.
func (srv *Server) logRequest(peer net.Addr, result *engine.Result) {
	if srv.cfg.LogRequest {
		srv.log.Info("request", slog.String("peer", peerName(peer)), slog.String("op", result.Op.String()),
			slog.String("table", string(result.TableName)), slog.String("status", result.Status.String()))
	}
}
