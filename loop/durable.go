package loop

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/persist"
)

// journalAheadBytes is how much may wait in memory for the journal to be written before requests that change anything are refused.
const journalAheadBytes = 256 << 20

func (srv *Server) flushJournal() {
	if srv.journal != nil {
		srv.journal.Flush()
	}
}

// writable returns an error if nothing may be changed: what is changed could not be written to disk, or its versions were not reserved there.
func (srv *Server) writable() error {
	if srv.numbers == nil || srv.numbers.Allow(srv.store.Clock()) && (srv.journal == nil || srv.journal.Taking() && !srv.behind.Load()) {
		return nil
	}
	return srv.whyRefused()
}

// whyRefused returns the error of a change that writable refuses.
func (srv *Server) whyRefused() error {
	if err := srv.numbers.Err(); err != nil && !srv.numbers.Allow(srv.store.Clock()) {
		return readOnly(err)
	}
	if srv.journal != nil {
		if err := srv.journal.Err(); err != nil {
			return readOnly(err)
		}
		if err := srv.journal.Full(); err != nil {
			return &codec.Error{Status: codec.StatusReadOnly, Message: "the disk is full: nothing is changed until there is room again: " + err.Error()}
		}
	}
	return &codec.Error{Status: codec.StatusOverloaded, Message: "the disk is too slow: too much waits to be written, or for version numbers to be reserved"}
}

// readOnly is the error of a change that is refused because of err.
func readOnly(err error) error {
	return &codec.Error{Status: codec.StatusReadOnly, Message: "nothing is changed any more, since it could not be kept: " + err.Error()}
}

// mostNumbers is how many numbers one request assigns at most: one for each argument, and for its table.
const mostNumbers = 2 * codec.MaxArguments

// numbersInFlight returns how many numbers may be assigned after Numbers.Allow was asked: by a request on each event loop and each worker, and by one save.
func (srv *Server) numbersInFlight() uint64 {
	return uint64(srv.cfg.EventLoops+maxWorkers+1) * mostNumbers
}

// onRenew is called when the next range of numbers cannot be reserved, and with nil when it can be again.
func (srv *Server) onRenew(err error) {
	if err != nil {
		srv.log.Warn("the next range of version numbers cannot be reserved; changes are refused once this one is used: make room or mend the disk", slog.Any("error", err))
		return
	}
	srv.log.Info("the next range of version numbers is reserved")
}

// lookBehind looks whether too much waits in memory to be written.
func (srv *Server) lookBehind() {
	if srv.journal == nil {
		return
	}
	limit := int64(journalAheadBytes)
	if srv.cfg.aheadBytes > 0 {
		limit = srv.cfg.aheadBytes
	}
	srv.behind.Store(srv.journal.Pending() > limit)
}

// mustWait says whether the reply to a request that may have changed something waits for the disk: by the policy, because its client demands it, or because what was
// appended, and n bytes more, may find no room there.
func (srv *Server) mustWait(demanded bool, n int) bool {
	return srv.journal != nil && (srv.cfg.Data.Fsync == persist.Always || demanded || !srv.journal.HasRoom(n))
}

// inFlightBytes returns persist.Options.InFlightBytes: one operation that is not announced for each event loop, each worker and a save.
func (srv *Server) inFlightBytes() int64 {
	return int64(srv.cfg.EventLoops+maxWorkers+1) * 2 * persist.LargeOperationBytes
}

// awaitDisk makes a reply wait, beside the loops, until a change is on disk; it returns the reply that is to be sent.
func (srv *Server) awaitDisk(reply []byte, lsn uint64) []byte {
	if err := srv.journal.Sync(lsn); err != nil {
		srv.counters.notDurable.Add(1)
		return appendNotDurable(nil, binary.LittleEndian.Uint32(reply[4:]), err)
	}
	return reply
}

func appendNotDurable(out []byte, id uint32, err error) []byte {
	return engine.AppendError(out, id, &codec.Error{Status: codec.StatusNotDurable, Message: "applied, not on disk: " + err.Error()})
}

// heldReplies are replies of one session that wait for the disk, in order.
type heldReplies struct {
	frames []byte
	marks  []heldMark
}

// heldMark is one reply: it ends at an offset of frames, and may go once all up to an LSN is on disk.
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

// take moves the replies that may go to out: those up to durable, and all others, as errors which it counts, if the journal is broken.
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

// endWith ends the server by itself, with the error that it ends by.
func (srv *Server) endWith(err error) {
	srv.stopOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), endTime)
		defer cancel()
		srv.stopErr = errors.Join(err, srv.stop(ctx))
		close(srv.done)
	})
}

// endTime is how long requests in hand may take when the server ends by itself.
const endTime = 5 * time.Second

// holdReply keeps a reply until the change that it tells of is on disk. The replies behind it do not wait.
func (s *session) holdReply(reply []byte, lsn uint64, demanded bool) {
	if !s.toDisk.waits() {
		s.loop.waiting = append(s.loop.waiting, s)
	}
	s.toDisk.add(reply, lsn)
	if demanded || s.srv.cfg.Data.Fsync != persist.Always { // under Always it is synced without
		s.srv.journal.Demand(lsn)
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

// journalBroken tells that nothing can be written any more.
func (srv *Server) journalBroken() {
	err := srv.journal.Err()
	srv.persistDefect("panic while the journal was written", err)
	srv.log.Error("the journal is broken: nothing is changed any more, reads go on; make room or mend the disk, then restart", slog.Any("error", err),
		slog.Uint64("on_disk", srv.journal.Durable()), slog.Uint64("made", srv.store.Clock()))
	if srv.cfg.Data.ExitOnIOError {
		go srv.endWith(err)
	}
}

// onFull is called by the journal's flusher when no more room can be reserved on the disk, and with nil when it can be again.
func (srv *Server) onFull(err error) {
	if err != nil {
		srv.log.Error("the disk is full: nothing is changed until there is room again, reads go on; nothing that was acknowledged is lost", slog.Any("error", err))
		return
	}
	srv.log.Info("the disk has room again: changes go on")
}

// onBegin is called by the journal's flusher when its next segment cannot be begun, and with nil when it can be again.
func (srv *Server) onBegin(err error) {
	if err != nil {
		srv.log.Warn("the journal's segment grows beyond its size, nothing is lost: free descriptors or make room", slog.Any("error", err))
		return
	}
	srv.log.Info("the journal's next segment is begun")
}

// release sends the replies that have waited for the disk. It runs on the event loop.
func (l *eventLoop) release(srv *Server) {
	l.releasing.Store(false)
	durable, broken := srv.journal.Durable(), srv.journal.Err()
	still := l.waiting[:0]
	for _, s := range l.waiting {
		if s.conn.Context() == nil { // closed
			continue
		}
		if s.releaseHeld(durable, broken) == gnet.Close {
			_ = s.conn.EventLoop().Close(s.conn)
		}
		if s.toDisk.waits() && s.conn.Context() != nil {
			still = append(still, s)
		}
	}
	clear(l.waiting[len(still):])
	l.waiting = still
	l.waits.Store(len(still) > 0)
}

// releaseHeld sends those of the session's replies that may go. No panic crosses it.
func (s *session) releaseHeld(durable uint64, broken error) (action gnet.Action) {
	defer s.recoverTurn(&action)
	s.loop.begin()
	var failed uint64
	s.loop.out, failed = s.toDisk.take(s.loop.out, durable, broken)
	s.srv.counters.notDurable.Add(failed)
	s.flush()
	return s.settle()
}

// loopDurable is what an event loop has that waits for the disk.
type loopDurable struct {
	changed   bool        // something that the journal was not yet told to sync; owned by the event loop
	waiting   []*session  // with held replies
	waits     atomic.Bool // there are some; written by the event loop
	releasing atomic.Bool // release is on its way; written by the flusher and the event loop
}
