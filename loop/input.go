package loop

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/valyala/bytebufferpool"
	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

const (
	// allHeldBytes is how many bytes of requests the server holds for all clients together: frames of which more is to come, requests that wait for
	// earlier ones, and those that wait beside the loops.
	allHeldBytes = 256 << 20
	// uncountedBytes is what each client may have held without being counted.
	uncountedBytes = 64 << 10
	// heldTime is how long a client may have something held while more than half of allHeldBytes is in use.
	heldTime = 30 * time.Second
)

// heldTotal counts the bytes of requests that are held for all clients. A client that would make it too many is told so and closed. So that nobody
// has the room for good, half frames must not grow old once it gets short.
type heldTotal struct {
	limit int64         // constant
	bytes atomic.Int64  // written by event loops
	time  time.Duration // constant; heldTime
}

// short says whether room is getting short.
func (h *heldTotal) short() bool { return h.bytes.Load() > h.limit/2 }

// setHeld brings the count of what is held for the session up to date and returns the count for all.
func (s *session) setHeld(now int64) int64 {
	before := s.held.Swap(now)
	if before == now {
		return s.srv.held.bytes.Load()
	}
	if before == 0 {
		s.heldSince = s.srv.clock.now()
	}
	return s.srv.held.bytes.Add(now - before)
}

// limitHeld ends a session for which more is held than there is room for, or for too long.
func (s *session) limitHeld() {
	n := 0
	if s.carry != nil {
		n = len(s.carry.B) - s.carryUsed
	}
	if n <= uncountedBytes || s.closing {
		s.setHeld(0)
		return
	}
	h := &s.srv.held
	more := int64(n) > s.held.Load()
	all := s.setHeld(int64(n))
	switch {
	case more && all > h.limit:
		s.overloaded(n, h.noRoom())
	case h.short() && s.srv.clock.now().Sub(s.heldSince) > h.time:
		s.overloaded(n, &codec.Error{
			Status:  codec.StatusOverloaded,
			Message: fmt.Sprintf("the request is not complete, or waits, since %v, and room for such requests is short", h.time),
		})
	}
}

// roomFor returns s.carry.B with room for n bytes more. Of a large frame that has come by half it has room for the whole, so that it is not moved again
// and again while it grows.
func (s *session) roomFor(n int) []byte {
	b := s.carry.B
	if len(b)+n <= cap(b) || len(b) < pauseReadBytes {
		return b
	}
	frame := s.carryUsed + int(min(binary.LittleEndian.Uint32(b[s.carryUsed:]), codec.MaxFrameBytes)) + codec.HeaderBytes
	return slices.Grow(b, max(n, min(frame, 2*len(b))-len(b)))
}

// admit counts n bytes of a request that leaves the session and waits, if there is room for them. The other half of the pair is release.
func (h *heldTotal) admit(n int) bool {
	if h.bytes.Add(int64(n)) <= h.limit {
		return true
	}
	h.release(n)
	return false
}

func (h *heldTotal) release(n int) { h.bytes.Add(-int64(n)) }

// noRoom is what a request is answered that would wait beside the loops and finds no room.
func (h *heldTotal) noRoom() *codec.Error {
	return &codec.Error{
		Status:  codec.StatusOverloaded,
		Message: fmt.Sprintf("the server holds %d MiB of requests that are not complete, or wait, for all clients together: try again later", h.limit>>20),
	}
}

// overloaded tells the client why it is closed.
func (s *session) overloaded(n int, why *codec.Error) {
	id := binary.LittleEndian.Uint32(s.carry.B[s.carryUsed+4:])
	s.loop.out = engine.AppendError(s.loop.out, id, why)
	s.srv.counters.overrun.Add(1)
	s.srv.acceptLog.warn("connection closed", slog.String("peer", peerName(s.peer)), slog.String("reason", why.Message), slog.Int("bytes", n))
	s.closing = true
	s.dropCarry()
	s.setHeld(0)
}

const (
	// maxAheadBytes ends a connection that sends this much while its requests wait.
	maxAheadBytes = codec.MaxFrameBytes + 16<<20
	// pauseReadBytes is how many bytes may wait before the socket is left unread.
	pauseReadBytes = 1 << 20
)

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

// setReadLow sets how many bytes must have arrived before a socket counts as readable: the way to leave one unread, which
// gnet has no call for. A socket that does not know the option stays readable, which costs memory up to maxAheadBytes.
func setReadLow(fd, bytes int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes)
}
