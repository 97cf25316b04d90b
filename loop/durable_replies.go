package loop

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/persist"
)

// waitDurable waits, on a goroutine in the background, until the change that a reply reports is on
// disk. If it never will be, the reply says so.
func (srv *Server) waitDurable(reply *backgroundReply) {
	if err := srv.journal.Sync(reply.result.LSN); err != nil {
		srv.counters.notDurable.Add(1)
		reply.frames = appendNotDurable(nil, reply.request.ID, err)
		reply.result.Status = codec.StatusNotDurable
	}
}

func appendNotDurable(out []byte, id uint32, err error) []byte {
	return engine.AppendError(
		out,
		id,
		&codec.Error{Status: codec.StatusNotDurable, Message: "applied, not on disk: " + err.Error()},
	)
}

// pendingReplies are replies of one session that wait for the disk, in order.
type pendingReplies struct {
	frames []byte
	marks  []pendingMark
}

// pendingMark is one reply: it ends at an offset of frames, and may go once all up to an LSN is on
// disk.
type pendingMark struct {
	end int
	lsn uint64

	// what is recorded of the request then
	op           codec.Opcode
	status       codec.Status
	requestBytes int
	arrived      time.Duration
}

func (h *pendingReplies) add(reply []byte, mark pendingMark) {
	h.frames = append(h.frames, reply...)
	mark.end = len(h.frames)
	h.marks = append(h.marks, mark)
}

// waits says whether there is a reply.
func (h *pendingReplies) waits() bool { return len(h.marks) > 0 }

// take moves replies to out: those up to durable, and, if the journal is broken, all others as
// errors, which it counts. It calls taken for each, with the size of the reply.
func (h *pendingReplies) take(
	out []byte,
	durable uint64,
	broken error,
	taken func(m *pendingMark, replyBytes int),
) (_ []byte, failed uint64) {
	at, n := 0, 0
	for i := range h.marks {
		m, start := &h.marks[i], len(out)
		switch {
		case m.lsn <= durable:
			out = append(out, h.frames[at:m.end]...)
		case broken != nil:
			out = appendNotDurable(out, binary.LittleEndian.Uint32(h.frames[at+4:]), broken)
			m.status = codec.StatusNotDurable
			failed++
		default:
			h.drop(n, at)
			return out, failed
		}
		taken(m, len(out)-start)
		at = m.end
		n++
	}
	h.drop(n, at)
	return out, failed
}

// drop removes the first n replies, which end at an offset.
func (h *pendingReplies) drop(n, end int) {
	if n == len(h.marks) {
		h.frames, h.marks = h.frames[:0], h.marks[:0]
		if cap(h.frames) > flushBytes {
			h.frames = nil
		}
		return
	}
	h.frames = h.frames[:copy(h.frames, h.frames[end:])]
	h.marks = h.marks[:copy(h.marks, h.marks[n:])]
	for i := range h.marks {
		h.marks[i].end -= end
	}
}

// deferDurable keeps a reply until the change that it reports is on disk. The replies after it do
// not wait.
func (s *session) deferDurable(req *codec.Request, result *engine.Result, reply []byte, arrived time.Duration) {
	lsn, demanded := result.LSN, req.Flags&codec.FlagDurable != 0
	mark := pendingMark{
		lsn: lsn, op: req.Op, status: result.Status, requestBytes: req.FrameBytes(), arrived: arrived,
	}
	if result.Table != nil {
		s.loop.recordTable(result)
	}
	if s.deferred.addDurable(reply, mark) {
		s.loop.pending = append(s.loop.pending, s)
	}
	if demanded || s.srv.cfg.Data.Fsync != persist.Always { // under Always it is synced anyway
		s.srv.journal.RequestSync(lsn)
	}
	if !s.loop.waits.Swap(true) && s.srv.isDurable(lsn) {
		s.loop.releaseSoon(s.srv, s.conn.EventLoop()) // the flusher called onSync before this session waited
	}
	if len(reply) > flushBytes {
		s.limitOutput()
	}
}

// onSync is called by the journal's flusher after each sync, and when the journal breaks.
func (srv *Server) onSync() {
	srv.durableWaits.synced(srv)
	srv.loopsMu.Lock()
	defer srv.loopsMu.Unlock()
	for el, l := range srv.loops {
		if l.waits.Load() {
			l.releaseSoon(srv, el)
		}
	}
	if srv.journal != nil && srv.journal.Err() != nil {
		srv.ioOnce.Do(srv.journalBroken)
	}
}

// isDurable says whether there is nothing to wait for: all up to an LSN is on disk, or never will
// be.
func (srv *Server) isDurable(lsn uint64) bool {
	return srv.journal.Durable() >= lsn || srv.journal.Err() != nil
}

// releaseSoon makes the event loop call release, once for all calls until it does.
func (l *eventLoop) releaseSoon(srv *Server, el gnet.EventLoop) {
	if !l.releasing.CompareAndSwap(false, true) {
		return
	}
	err := el.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		l.release(srv)
		return nil
	}))
	if err != nil {
		l.releasing.Store(false) // the loop ends
	}
}

// release sends the replies that have waited for the disk. It runs on the event loop.
func (l *eventLoop) release(srv *Server) {
	l.releasing.Store(false)
	durable, broken := srv.journal.Durable(), srv.journal.Err()
	still := l.pending[:0]
	for _, s := range l.pending {
		if s.conn.Context() == nil { // closed
			continue
		}
		if s.releaseDurable(durable, broken) == gnet.Close {
			_ = s.conn.EventLoop().Close(s.conn)
		}
		if s.deferred.pendingDurable() > 0 && s.conn.Context() != nil {
			still = append(still, s)
		}
	}
	clear(l.pending[len(still):])
	l.pending = still
	l.waits.Store(len(still) > 0)
}

// releaseDurable sends those of the session's replies that may go. No panic crosses it.
func (s *session) releaseDurable(durable uint64, broken error) (action gnet.Action) {
	defer s.recoverEvent(&action)
	s.loop.begin()
	var failed uint64
	s.loop.out, failed = s.deferred.long.durable.take(s.loop.out, durable, broken, s.recordDurable)
	s.srv.counters.notDurable.Add(failed)
	s.flush()
	return s.finishEvent()
}

// loopDurable is what an event loop has that waits for the disk.
type loopDurable struct {
	changed   bool        // the journal was not yet asked to sync some change; owned by the event loop
	pending   []*session  // sessions with pending replies
	waits     atomic.Bool // there are some; written by the event loop
	releasing atomic.Bool // release is on its way; written by the flusher and the event loop
}
