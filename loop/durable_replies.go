package loop

import (
	"context"
	"encoding/binary"
	"sync/atomic"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/persist"
)

// awaitDisk makes a reply wait, beside the loops, until a change is on disk; it returns the reply
// that is to be sent.
func (srv *Server) awaitDisk(reply []byte, lsn uint64) []byte {
	if err := srv.journal.Sync(lsn); err != nil {
		srv.counters.notDurable.Add(1)
		return appendNotDurable(nil, binary.LittleEndian.Uint32(reply[4:]), err)
	}
	return reply
}

func appendNotDurable(out []byte, id uint32, err error) []byte {
	return engine.AppendError(
		out,
		id,
		&codec.Error{Status: codec.StatusNotDurable, Message: "applied, not on disk: " + err.Error()},
	)
}

// heldReplies are replies of one session that wait for the disk, in order.
type heldReplies struct {
	frames []byte
	marks  []heldMark
}

// heldMark is one reply: it ends at an offset of frames, and may go once all up to an LSN is on
// disk.
type heldMark struct {
	end int
	lsn uint64
}

func (h *heldReplies) add(reply []byte, lsn uint64) {
	h.frames = append(h.frames, reply...)
	h.marks = append(h.marks, heldMark{len(h.frames), lsn})
}

// waits says whether there is a reply.
func (h *heldReplies) waits() bool { return len(h.marks) > 0 }

// take moves the replies that may go to out: those up to durable, and all others, as errors which
// it counts, if the journal is broken.
func (h *heldReplies) take(out []byte, durable uint64, broken error) (_ []byte, failed uint64) {
	taken, n := 0, 0
	for _, m := range h.marks {
		switch {
		case m.lsn <= durable:
			out = append(out, h.frames[taken:m.end]...)
		case broken != nil:
			out = appendNotDurable(out, binary.LittleEndian.Uint32(h.frames[taken+4:]), broken)
			failed++
		default:
			h.drop(n, taken)
			return out, failed
		}
		taken = m.end
		n++
	}
	h.drop(n, taken)
	return out, failed
}

// drop forgets the first n replies, which end at an offset.
func (h *heldReplies) drop(n, end int) {
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

// holdReply keeps a reply until the change that it tells of is on disk. The replies behind it do
// not wait.
func (s *session) holdReply(reply []byte, lsn uint64, demanded bool) {
	if s.deferred.hold(reply, lsn) {
		s.loop.held = append(s.loop.held, s)
	}
	if demanded || s.srv.cfg.Data.Fsync != persist.Always { // under Always it is synced without
		s.srv.journal.RequestSync(lsn)
	}
	if !s.loop.waits.Swap(true) && s.srv.settled(lsn) {
		s.loop.releaseSoon(s.srv, s.conn.EventLoop()) // the flusher has told before anybody waited
	}
	if len(reply) > flushBytes {
		s.pauseUnread()
	}
}

// onSync is called by the journal's flusher after each sync, and when the journal breaks.
func (srv *Server) onSync() {
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

// settled says whether nothing is left to wait for: all up to an LSN is on disk, or will never be.
func (srv *Server) settled(lsn uint64) bool {
	return srv.journal.Durable() >= lsn || srv.journal.Err() != nil
}

// releaseSoon has the event loop release what waits, once for all calls until it does.
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
	still := l.held[:0]
	for _, s := range l.held {
		if s.conn.Context() == nil { // closed
			continue
		}
		if s.releaseHeld(durable, broken) == gnet.Close {
			_ = s.conn.EventLoop().Close(s.conn)
		}
		if s.deferred.pendingDurable() > 0 && s.conn.Context() != nil {
			still = append(still, s)
		}
	}
	clear(l.held[len(still):])
	l.held = still
	l.waits.Store(len(still) > 0)
}

// releaseHeld sends those of the session's replies that may go. No panic crosses it.
func (s *session) releaseHeld(durable uint64, broken error) (action gnet.Action) {
	defer s.recoverTurn(&action)
	s.loop.begin()
	var failed uint64
	s.loop.out, failed = s.deferred.durable.take(s.loop.out, durable, broken)
	s.srv.counters.notDurable.Add(failed)
	s.flush()
	return s.settle()
}

// loopDurable is what an event loop has that waits for the disk.
type loopDurable struct {
	changed   bool        // something that the journal was not yet told to sync; owned by the event loop
	held      []*session  // with held replies
	waits     atomic.Bool // there are some; written by the event loop
	releasing atomic.Bool // release is on its way; written by the flusher and the event loop
}
