package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// Subscription receives the messages of some channels, each at most once. Any number of goroutines
// may use it; a message goes to one of them. It has no goroutine of its own: the server keeps the
// messages until Receive asks for them.
//
// If its connection is lost, Receive subscribes again, and says so by Message.Gap and Missed.
type Subscription[T any] struct {
	// constant
	client   *Client
	channels Channels
	turn     chan struct{} // holds a token while no goroutine asks the server

	mu sync.Mutex
	// guarded by mu
	conn     *conn // nil: there is no subscription at the moment
	id       int64
	closed   bool
	received []received
	wake     context.CancelFunc // ends the request that waits for messages, if there is one
	missed   int                // messages, before the next one that is received
	gap      bool               // likewise
	total    int                // messages missed so far
	gaps     int                // so far
}

// received is a message that Receive has not returned yet.
type received struct {
	channel string
	value   []byte
	missed  int
	gap     bool
}

// receiveLimit is how many messages one request asks for.
const receiveLimit = 256

// Subscribe subscribes to channels; messages are of the natural types of their values. See
// SubscribeTo.
func (c *Client) Subscribe(ctx context.Context, channels Channels) (*Subscription[any], error) {
	return SubscribeTo[any](ctx, c, channels)
}

// SubscribeTo subscribes to channels whose messages are of type T. It receives what is published
// after SubscribeTo has returned. Close ends the subscription. Errors: ErrValue if channels are
// none, or a name is empty or has more than 1,024 bytes; ErrOverloaded beyond 64 subscriptions of a
// connection or 4,096 names; those of the connection.
func SubscribeTo[T any](ctx context.Context, c *Client, channels Channels) (*Subscription[T], error) {
	s := &Subscription[T]{client: c, channels: channels, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	if err := s.subscribe(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// subscribe makes the subscription on a connection that is up.
func (s *Subscription[T]) subscribe(ctx context.Context) error {
	var deadline time.Time
	for retries := 0; ; retries++ {
		q := s.subscription()
		cn, err := s.client.acquire(ctx, &deadline)
		if err != nil {
			err = q.failed(err)
			q.release()
			return err
		}
		id, err := requestOn(ctx, cn, q, decodeOne[int64])
		switch {
		case errors.Is(err, errDown):
		case errors.Is(err, ErrShuttingDown) && ctx.Err() == nil && s.client.ctx.Err() == nil:
			s.client.pause(ctx, retries)
		case errors.Is(err, ErrConnectionLost) && retries < len(s.client.slots) && s.client.ctx.Err() == nil:
		case err != nil:
			return err
		default:
			s.mu.Lock()
			s.conn, s.id = cn, id
			closed := s.closed
			s.mu.Unlock()
			if closed {
				s.unsubscribe(cn, id)
			}
			return nil
		}
	}
}

// subscription makes the request SUBSCRIBE. If its reply comes too late for the caller, the
// subscription is ended.
func (s *Subscription[T]) subscription() *call {
	q := s.client.write(codec.OpSubscribe, nil)
	add(q, append([]string{}, s.channels.Names...))
	add(q, append([]string{}, s.channels.Prefixes...))
	q.late = func(c *conn, q *call) {
		if id, err := decodeOne[int64](q); q.granted() && err == nil {
			s.unsubscribe(c, id)
		}
	}
	return q
}

// unsubscribe ends a subscription of c, without waiting for the reply.
func (s *Subscription[T]) unsubscribe(c *conn, id int64) {
	if q := s.about(codec.OpUnsubscribe, id); q.seal() == nil {
		_ = c.post(q) // if it fails, the connection's end ends the subscription
	}
}

// about begins a request about a subscription.
func (s *Subscription[T]) about(op codec.Opcode, id int64) *call {
	q := s.client.write(op, nil)
	add(q, id)
	return q
}

// Receive waits for the next message and returns it. Errors: the context's error, and no message
// is missed by that; ErrClosed after Close, and if the client was closed; those of the connection,
// if it cannot be made again: the next Receive tries again then. If a value is not a T, Receive
// returns the error with the rest of the message, and the next Receive goes on behind it.
func (s *Subscription[T]) Receive(ctx context.Context) (Message[T], error) {
	for {
		m, ok, err := s.next()
		if ok || err != nil {
			return m, err
		}
		select {
		case <-s.turn:
			err = s.fetch(ctx)
			s.turn <- struct{}{}
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return m, s.failed(err)
		}
	}
}

// failed returns err as an *Error.
func (s *Subscription[T]) failed(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Op: codec.OpReceive.String(), Err: err}
}

// next takes the first message of those received, if there is one. Errors: ErrClosed.
func (s *Subscription[T]) next() (m Message[T], ok bool, err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return m, false, s.failed(ErrClosed)
	}
	if len(s.received) == 0 {
		s.mu.Unlock()
		return m, false, nil
	}
	r := s.received[0]
	s.received[0] = received{}
	s.received = s.received[1:]
	s.mu.Unlock()
	m = Message[T]{Channel: r.channel, Missed: r.missed, Gap: r.gap}
	if m.Value, err = govalue.UnmarshalOf[T](r.value); err != nil {
		err = s.failed(fmt.Errorf("a message of the channel %q: %w", r.channel, err))
	}
	return m, true, err
}

// fetch returns when there may be messages. It subscribes again if the connection was lost.
func (s *Subscription[T]) fetch(ctx context.Context) error {
	waiting, wake := context.WithCancel(ctx)
	defer wake()
	s.mu.Lock()
	if len(s.received) > 0 || s.closed {
		s.mu.Unlock()
		return nil
	}
	cn, id := s.conn, s.id
	s.wake = wake
	s.mu.Unlock()
	if cn == nil {
		err := s.subscribe(waiting)
		if waiting.Err() != nil && ctx.Err() == nil {
			return nil // a late message came, or Close
		}
		return err
	}
	q := s.about(codec.OpReceive, id)
	add(q, receiveLimit)
	q.addWait(Forever)
	q.late = func(_ *conn, q *call) {
		if q.granted() {
			_, _ = s.keep(q)
		}
	}
	_, err := requestOn(waiting, cn, q, s.keep)
	switch {
	case errors.Is(err, errDown),
		(errors.Is(err, ErrConnectionLost) || errors.Is(err, ErrShuttingDown)) && s.client.ctx.Err() == nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conn, s.gap = nil, true
		s.gaps++
		return nil
	case waiting.Err() != nil && ctx.Err() == nil:
		return nil // a message came, or Close
	}
	return err
}

// keep keeps the messages of a reply: the number of those missed, then channels and values.
func (s *Subscription[T]) keep(q *call) (nothing, error) {
	var missed int
	b, err := decodeNext(q.reply, &missed)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nothing{}, err
	}
	s.missed += missed
	s.total += missed
	for err == nil && len(b) > 0 {
		r := received{missed: s.missed, gap: s.gap}
		if b, err = decodeNext(b, &r.channel); err != nil {
			break
		}
		rest, failed := msgp.Skip(b)
		if failed != nil {
			err = fmt.Errorf("%w: cannot decode a message: %w", ErrProtocol, failed)
			break
		}
		r.value = append([]byte(nil), b[:len(b)-len(rest)]...)
		s.received = append(s.received, r)
		s.missed, s.gap, b = 0, false, rest
	}
	if len(s.received) > 0 && s.wake != nil {
		s.wake()
	}
	return nothing{}, err
}

// Messages ranges over the messages as they come, until ctx ends, Close, or an error of Receive,
// which failed returns after the loop; after Close it returns nil. A loop may end early, and
// another one may go on.
//
//	messages, failed := sub.Messages(ctx)
//	for m := range messages {
//		fmt.Println(m.Channel, m.Value)
//	}
//	if err := failed(); err != nil {
//		...
//	}
func (s *Subscription[T]) Messages(ctx context.Context) (messages iter.Seq[Message[T]], failed func() error) {
	var err error
	return func(yield func(Message[T]) bool) {
			var m Message[T]
			for {
				if m, err = s.Receive(ctx); err != nil || !yield(m) {
					return
				}
			}
		}, func() error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.closed && errors.Is(err, ErrClosed) {
				return nil
			}
			return err
		}
}

// Missed returns how many messages the subscription has missed so far because it was too slow, and
// how often its connection was lost. Each time that, an unknown number was missed, too.
func (s *Subscription[T]) Missed() (messages, gaps int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, s.gaps
}

// Close ends the subscription. It does not wait for the server. What has arrived and was not
// received is dropped. Close returns nil.
func (s *Subscription[T]) Close() error {
	s.mu.Lock()
	cn, id := s.conn, s.id
	again := s.closed
	s.closed, s.received = true, nil
	if s.wake != nil {
		s.wake()
	}
	s.mu.Unlock()
	if !again && cn != nil {
		s.unsubscribe(cn, id)
	}
	return nil
}

// requestOn is request on the connection cn. Errors: also errDown if cn is down and nothing was
// sent.
func requestOn[R any](ctx context.Context, cn *conn, q *call, decode func(*call) (R, error)) (result R, err error) {
	if err = ctx.Err(); err == nil {
		err = q.seal()
	}
	if err == nil {
		err = q.setConditions(ctx)
	}
	if err == nil {
		err = cn.do(ctx, q)
	}
	return finish(q, err, decode)
}
