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
	// uncountedBytes is how much input of each client is not counted.
	uncountedBytes = 64 << 10
	// maxAheadBytes ends a connection that sends this much while its requests wait.
	maxAheadBytes = codec.MaxFrameBytes + 16<<20
	// pauseReadBytes is how much input is buffered before the socket is not read any more.
	pauseReadBytes = 1 << 20
)

// requestBudget is the request-memory budget of all clients. A client that would exceed it gets an
// error and is closed. When more than half of it is in use, a partial frame older than time closes
// its connection.
type requestBudget struct {
	limit int64         // constant
	bytes atomic.Int64  // written by event loops
	time  time.Duration // constant
}

// nearLimit says whether more than half of the budget is in use.
func (b *requestBudget) nearLimit() bool { return b.bytes.Load() > b.limit/2 }

// admit counts n bytes of a request that leaves its session and waits, if the budget has room for
// them. release takes them out of the count.
func (b *requestBudget) admit(n int) bool {
	if b.bytes.Add(int64(n)) <= b.limit {
		return true
	}
	b.release(n)
	return false
}

func (b *requestBudget) release(n int) { b.bytes.Add(-int64(n)) }

// limitError is the reply to a request that the budget has no room for.
func (b *requestBudget) limitError() *codec.Error {
	return &codec.Error{
		Status: codec.StatusOverloaded,
		Message: fmt.Sprintf(
			"the server buffers %d MiB of requests that are not complete, or wait, of all clients together: try "+
				"again later",
			b.limit>>20,
		),
	}
}

// tooOld is the reply to a request whose input is too old.
func (b *requestBudget) tooOld() *codec.Error {
	return &codec.Error{
		Status: codec.StatusOverloaded,
		Message: fmt.Sprintf(
			"the request is not complete, or waits, since %v, and the memory for such requests is short",
			b.time,
		),
	}
}

// input is the part of a session that buffers the bytes that arrived and are not used up: a partial
// frame, or requests that wait. Owned by the event loop, except where said.
type input struct {
	buffer  *bytebufferpool.ByteBuffer // nil: nothing is buffered
	since   int64                      // when counted became more than 0, in nanoseconds of the coarse clock
	counted atomic.Int64               // bytes of the buffer that the budget counts; read by the sweeper
	used    int32                      // bytes at the front of the buffer that are used up
	paused  bool                       // the socket is not read
}

// rest returns the buffered bytes.
func (in *input) rest() []byte {
	if in.buffer == nil {
		return nil
	}
	return in.buffer.B[in.used:]
}

// empty says whether nothing is buffered.
func (in *input) empty() bool { return in.buffer == nil }

// pending returns the buffered bytes, then those that arrived.
func (in *input) pending(arrived []byte) []byte {
	if in.buffer == nil {
		return arrived
	}
	in.buffer.B = append(in.grown(len(arrived)), arrived...)
	return in.buffer.B[in.used:]
}

// grown returns the buffer with room for n bytes more. A large frame of which half has arrived gets
// room for the complete request, so that it is not copied again and again while it grows.
func (in *input) grown(n int) []byte {
	b, used := in.buffer.B, int(in.used)
	if len(b)+n <= cap(b) || len(b) < pauseReadBytes {
		return b
	}
	frame := used + int(min(binary.LittleEndian.Uint32(b[used:]), codec.MaxFrameBytes)) + codec.HeaderBytes
	return slices.Grow(b, max(n, min(frame, 2*len(b))-len(b)))
}

// save buffers what is left of pending, of which used bytes are used up. arrived is what pending
// was called with.
func (in *input) save(pending []byte, used int, arrived []byte) {
	switch {
	case len(pending) == used:
		in.drop()
	case in.buffer == nil:
		in.buffer = bytebufferpool.Get()
		in.buffer.B = append(in.buffer.B, arrived[used:]...)
	default:
		in.used += int32(used)
		if int(in.used) > len(in.buffer.B)/2 {
			in.buffer.B = in.buffer.B[:copy(in.buffer.B, in.buffer.B[in.used:])]
			in.used = 0
		}
	}
}

// drop empties the buffer. A large buffer is not pooled: it would be used for small frames.
func (in *input) drop() {
	if in.buffer == nil {
		return
	}
	if cap(in.buffer.B) <= pauseReadBytes {
		bytebufferpool.Put(in.buffer)
	}
	in.buffer, in.used = nil, 0
}

// count sets how many bytes the budget counts and returns the count for all clients.
func (in *input) count(b *requestBudget, bytes int, clock *coarseClock) int64 {
	before := in.counted.Swap(int64(bytes))
	if before == int64(bytes) {
		return b.bytes.Load()
	}
	if before == 0 {
		in.since = clock.nanos()
	}
	return b.bytes.Add(int64(bytes) - before)
}

// exceeds counts what is buffered. It returns an error if the budget has no room for it, or if it
// is too old.
func (in *input) exceeds(b *requestBudget, clock *coarseClock) *codec.Error {
	n := len(in.rest())
	if n <= uncountedBytes {
		in.count(b, 0, clock)
		return nil
	}
	more := int64(n) > in.counted.Load()
	all := in.count(b, n, clock)
	switch {
	case more && all > b.limit:
		return b.limitError()
	case b.nearLimit() && time.Duration(clock.nanos()-in.since) > b.time:
		return b.tooOld()
	}
	return nil
}

// pause stops reading the socket if much is buffered.
func (in *input) pause(fd int) {
	if !in.paused && len(in.rest()) > pauseReadBytes {
		in.paused = true
		setReadLow(fd, maxAheadBytes)
	}
}

// unpause reads the socket again.
func (in *input) unpause(fd int) {
	if in.paused {
		in.paused = false
		setReadLow(fd, 1)
	}
}

// setReadLow sets how many bytes must have arrived before a socket counts as readable. It is the
// way to stop reading one, for which gnet has no call. A socket that does not know the option stays
// readable, which costs memory up to maxAheadBytes.
func setReadLow(fd, bytes int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes)
}

// save is input.save. The input of a session that ends is dropped.
func (s *session) save(pending []byte, used int, arrived []byte) {
	if s.ends() {
		s.input.drop()
		return
	}
	s.input.save(pending, used, arrived)
}

// saveRequests is save for requests that are buffered while the session waits: their deadlines
// count from their arrival.
func (s *session) saveRequests(pending []byte, used int, arrived []byte) {
	s.save(pending, used, arrived)
	s.noteArrival(used)
}

// dropInput drops the session's input and takes it out of the budget.
func (s *session) dropInput() {
	s.input.drop()
	s.input.count(&s.srv.requests, 0, &s.srv.clock)
}

// limitInput closes a session whose input exceeds the budget, and sends its client the reason.
func (s *session) limitInput() {
	if s.ends() {
		s.input.count(&s.srv.requests, 0, &s.srv.clock)
		return
	}
	why := s.input.exceeds(&s.srv.requests, &s.srv.clock)
	if why == nil {
		return
	}
	rest := s.input.rest()
	s.loop.out = engine.AppendError(s.loop.out, binary.LittleEndian.Uint32(rest[4:]), why)
	s.srv.counters.overrun.Add(1)
	s.srv.acceptLog.warn(
		"connection closed",
		slog.String("peer", peerName(s.peer)),
		slog.String("reason", why.Message),
		slog.Int("bytes", len(rest)),
	)
	s.close()
	s.dropInput()
}
