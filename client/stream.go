package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// stream is the body of a long reply on its way from the reader, which never waits, to one
// consumer.
type stream struct {
	limit int           // constant: bytes that may wait
	wake  chan struct{} // tells the consumer that there is something new

	mu sync.Mutex
	// guarded by mu
	chunks [][]byte
	bytes  int
	ended  bool
	err    error
}

func newStream(limit int) *stream { return &stream{limit: limit, wake: make(chan struct{}, 1)} }

// push adds a copy of b. It is false if the stream has ended, by this push when the consumer is too
// far behind.
func (s *stream) push(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(b) == 0 {
		return !s.ended
	}
	if s.bytes+len(b) > s.limit {
		s.chunks = nil
		s.endLocked(
			fmt.Errorf(
				"%w: more than %d bytes of the reply wait for their reader; Scan has no such limit",
				ErrSlowReader,
				s.limit,
			),
		)
		return false
	}
	s.chunks = append(s.chunks, append([]byte(nil), b...))
	s.bytes += len(b)
	s.tellLocked()
	return true
}

// end says that nothing more comes; err is nil if the reply is whole.
func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.endLocked(err)
	}
}

func (s *stream) endLocked(err error) {
	s.ended, s.err = true, err
	s.tellLocked()
}

func (s *stream) tellLocked() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next returns the next part of the body; it is nil at the end.
func (s *stream) next(ctx context.Context) ([]byte, error) {
	for {
		if b, over, err := s.poll(); b != nil || over {
			return b, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *stream) poll() (b []byte, over bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.chunks) > 0 {
		b, s.chunks[0] = s.chunks[0], nil
		s.chunks = s.chunks[1:]
		s.bytes -= len(b)
		return b, false, nil
	}
	return nil, s.ended, s.err
}

// longRead reads the values of a long reply one by one as they come.
type longRead struct {
	ctx  context.Context
	call *call // never released: its link's reader may still be at it when the consumer has left
	link *link

	got   bool   // something has come
	buf   []byte // what has come and has not been read is buf[at:]
	at    int
	retry int  // do not look for a whole value again before buf[at:] has so many bytes
	ended bool // the whole reply is in buf
}

// openRead sends q, whose reply is to be streamed.
func openRead(ctx context.Context, q *call) (*longRead, error) {
	r := &longRead{ctx: ctx, call: q}
	if err := q.seal(); err != nil {
		return nil, q.failed(err)
	}
	return r, r.send()
}

// send sends the request, each time as a new call: a lost link's reader may not have done with the
// last one.
func (r *longRead) send() (err error) {
	q := &call{
		client: r.call.client,
		op:     r.call.op,
		table:  r.call.table,
		retry:  r.call.retry,
		frame:  r.call.frame,
		done:   make(chan struct{}, 1),
	}
	r.call = q
	q.stream = newStream(q.client.options.ReadAheadBytes)
	if r.link, err = q.client.submit(r.ctx, q); err != nil {
		return q.failed(err)
	}
	return nil
}

// value returns the next value's encoding, a view that holds until the next call; nil at the end.
func (r *longRead) value() ([]byte, error) {
	for {
		if rest := r.buf[r.at:]; len(rest) > 0 && len(rest) >= r.retry {
			after, err := msgp.Skip(rest)
			if err == nil {
				r.at, r.retry = len(r.buf)-len(after), 0
				return rest[:len(rest)-len(after)], nil
			}
			if !errors.Is(err, msgp.ErrShortBytes) {
				return nil, r.call.failed(fmt.Errorf("%w: a value of the reply cannot be read: %w", ErrProtocol, err))
			}
			if len(rest) > value.MaxValueBytes {
				return nil, r.call.failed(
					fmt.Errorf("%w: a value of the reply has more than %d bytes", ErrProtocol, value.MaxValueBytes),
				)
			}
			r.retry = min(2*len(rest), value.MaxValueBytes+1)
		}
		if r.ended && r.at == len(r.buf) {
			return nil, nil
		}
		if err := r.more(); err != nil {
			return nil, err
		}
	}
}

// more waits for the next part of the reply.
func (r *longRead) more() error {
	if r.ended {
		return r.call.failed(fmt.Errorf("%w: the reply ends inside a value", ErrProtocol))
	}
	part, err := r.call.stream.next(r.ctx)
	switch {
	case err == nil && part == nil:
		r.ended, r.retry = true, 0
	case err == nil:
		r.got = true
		if r.at == len(r.buf) {
			r.buf, r.at = part, 0
		} else {
			r.buf = append(r.buf[r.at:len(r.buf):len(r.buf)], part...)
			r.at = 0
		}
	case !r.got && (errors.Is(err, errDown) || errors.Is(err, ErrConnectionLost)) && r.call.retry:
		r.call.retry = errors.Is(err, errDown)
		return r.send()
	default:
		return r.call.asError(err)
	}
	return nil
}

// close gives up what has not been read; the rest of the reply is dropped as it comes.
func (r *longRead) close() {
	if r.link != nil && !r.ended {
		r.link.abandon(r.call)
		r.call.stream.end(context.Canceled)
	}
}
