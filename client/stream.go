package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// stream passes the body of a long reply from the connection's reader, which never waits, to one
// consumer.
type stream struct {
	limit int           // constant: bytes that may be buffered
	wake  chan struct{} // receives when there is something new for the consumer

	mu sync.Mutex
	// guarded by mu
	chunks [][]byte
	bytes  int
	ended  bool
	err    error
}

func newStream(limit int) *stream { return &stream{limit: limit, wake: make(chan struct{}, 1)} }

// push appends a copy of b. It returns false if the stream has ended. If b exceeds the limit, push
// ends the stream with ErrSlowReader.
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
				"%w: more than %d bytes of the reply are unread; Scan has no such limit",
				ErrSlowReader,
				s.limit,
			),
		)
		return false
	}
	s.chunks = append(s.chunks, append([]byte(nil), b...))
	s.bytes += len(b)
	s.notifyLocked()
	return true
}

// end ends the stream; err is nil if the reply is complete.
func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.endLocked(err)
	}
}

func (s *stream) endLocked(err error) {
	s.ended, s.err = true, err
	s.notifyLocked()
}

func (s *stream) notifyLocked() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next waits for the next part of the body and returns it, nil at the end.
func (s *stream) next(ctx context.Context) ([]byte, error) {
	for {
		if b, ended, err := s.poll(); b != nil || ended {
			return b, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// poll returns the next part if it has come.
func (s *stream) poll() (b []byte, ended bool, err error) {
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

// longRead reads the values of a long reply one by one as they arrive.
type longRead struct {
	ctx  context.Context
	call *call // never released: the connection's reader may still use it after close
	conn *conn

	got     bool   // a part has arrived
	buf     []byte // received; buf[at:] has not been read yet
	at      int
	minimum int  // bytes that buf[at:] must have before value looks for a whole value again
	ended   bool // the whole reply is in buf
}

// openRead sends q and returns its reply as a longRead.
func openRead(ctx context.Context, q *call) (*longRead, error) {
	r := &longRead{ctx: ctx, call: q}
	err := q.seal()
	if err == nil {
		err = q.setFence(ctx)
	}
	if err != nil {
		return nil, q.failed(err)
	}
	return r, r.send()
}

// send sends the request as a new call each time, because the reader of a lost connection may still
// use the previous one.
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
	if r.conn, err = q.client.submit(r.ctx, q); err != nil {
		return q.failed(err)
	}
	return nil
}

// value returns the encoding of the next value, nil at the end. The slice is valid until the next
// call.
func (r *longRead) value() ([]byte, error) {
	for {
		if rest := r.buf[r.at:]; len(rest) > 0 && len(rest) >= r.minimum {
			after, err := msgp.Skip(rest)
			if err == nil {
				r.at, r.minimum = len(r.buf)-len(after), 0
				return rest[:len(rest)-len(after)], nil
			}
			if !errors.Is(err, msgp.ErrShortBytes) {
				return nil, r.call.failed(fmt.Errorf("%w: cannot decode a value of the reply: %w", ErrProtocol, err))
			}
			if len(rest) > value.MaxValueBytes {
				return nil, r.call.failed(
					fmt.Errorf("%w: a value of the reply has more than %d bytes", ErrProtocol, value.MaxValueBytes),
				)
			}
			r.minimum = min(2*len(rest), value.MaxValueBytes+1)
		}
		if r.ended && r.at == len(r.buf) {
			return nil, nil
		}
		if err := r.more(); err != nil {
			return nil, err
		}
	}
}

// more waits for the next part of the reply. If the connection is lost before the first part, it
// sends a read again, once.
func (r *longRead) more() error {
	if r.ended {
		return r.call.failed(fmt.Errorf("%w: the reply ends inside a value", ErrProtocol))
	}
	part, err := r.call.stream.next(r.ctx)
	switch {
	case err == nil && part == nil:
		r.ended, r.minimum = true, 0
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

// close abandons the read: the rest of the reply is dropped as it arrives.
func (r *longRead) close() {
	if r.conn != nil && !r.ended {
		r.conn.abandon(r.call)
		r.call.stream.end(context.Canceled)
	}
}
