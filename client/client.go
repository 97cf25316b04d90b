package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/codec/value"
)

// Client is a client of one server. All its methods, and those of the handles made from it, may be
// called from any goroutine; one client per process and server is enough.
type Client struct {
	// constant after New
	options Options
	lanes   []*lane
	ctx     context.Context // ends when the client is closed
	cancel  context.CancelFunc

	limits  atomic.Pointer[secure.Limits] // as the newest link was told; written by lanes, read by callers
	start   sync.Once
	running sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // guarded by mu: closed when a link came up or an attempt failed
}

// New returns a client that connects with its first request. It does no I/O but to read the
// password's file, if the environment names one.
func New(options Options) (*Client, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{options: options, changed: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.limits.Store(&secure.Limits{MaxFrameBytes: codec.MaxFrameBytes, MaxValueBytes: value.MaxValueBytes})
	for range options.Conns {
		c.lanes = append(c.lanes, &lane{client: c})
	}
	return c, nil
}

// Open returns a client that is connected. rawURL is "cyberdb://:password@host:port",
// "unix://:password@/path", "host:port", or empty for what options say; options may be nil.
// "cyberdbs://" and "unixs://" encrypt. A password in rawURL is percent-encoded.
//
// Errors: ErrWrongPassword, ErrRefused (ErrEncryption if the server's setting is the other one),
// ErrProtocol or that of the dialer, at the first failure; that of ctx.
func Open(ctx context.Context, rawURL string, options *Options) (*Client, error) {
	var o Options
	if options != nil {
		o = *options
	}
	o, err := parseURL(rawURL, o)
	if err != nil {
		return nil, err
	}
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	if _, err = c.await(ctx, func() error { return c.attemptsFailed(anyFailure) }); err != nil {
		_ = c.Close()
		return nil, &Error{Err: err}
	}
	return c, nil
}

// Close ends the client. Requests under way fail with ErrClosed; see there. It returns when all of
// the client's goroutines have ended.
func (c *Client) Close() error {
	c.cancel()
	c.start.Do(func() {})
	c.running.Wait()
	return nil
}

func (c *Client) connect() {
	c.start.Do(func() {
		for _, la := range c.lanes {
			c.running.Go(la.run)
		}
	})
}

func (c *Client) tellLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// pick returns a link that is up, nil if none is. Chance spreads the load without a counter that
// all callers share.
func (c *Client) pick() *link {
	n := len(c.lanes)
	first := 0
	if n > 1 {
		first = int(rand.Uint32N(uint32(n)))
	}
	for i := range n {
		if l := c.lanes[(first+i)%n].link.Load(); l != nil {
			return l
		}
	}
	return nil
}

// acquire returns a link that is up, waiting for one until the time that deadline is set to by the
// first wait. Errors: ErrUnsent, wrapped; that of ctx.
func (c *Client) acquire(ctx context.Context, deadline *time.Time) (*link, error) {
	if l := c.pick(); l != nil {
		return l, nil
	}
	if deadline.IsZero() {
		*deadline = time.Now().Add(c.options.WaitTimeout)
	}
	waiting, cancel := context.WithDeadline(ctx, *deadline)
	defer cancel()
	l, err := c.await(waiting, func() error { return c.attemptsFailed(hopeless) })
	switch {
	case err == nil:
		return l, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case waiting.Err() != nil && errors.Is(err, waiting.Err()):
		err = fmt.Errorf("no connection within %s", c.options.WaitTimeout)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, la := range c.lanes {
			if la.err != nil {
				err = la.err
			}
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrUnsent, err)
}

// await waits for a link, for giveUp (called locked) to return an error, for ctx or for Close.
func (c *Client) await(ctx context.Context, giveUp func() error) (*link, error) {
	for {
		if c.ctx.Err() != nil {
			return nil, ErrClosed
		}
		c.connect()
		c.mu.Lock()
		changed, err := c.changed, giveUp()
		l := c.pick()
		c.mu.Unlock()
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func anyFailure(err error) bool { return err != nil }

// attemptsFailed returns an error if the last attempt of every lane failed with one that counts.
// Called with mu held.
func (c *Client) attemptsFailed(counts func(error) bool) error {
	for _, la := range c.lanes {
		if la.err == nil || !counts(la.err) {
			return nil
		}
	}
	return c.lanes[0].err
}

// do sends the pipeline that begins with head, whose frames are sealed, and waits. What was never
// sent is sent again as long as the client waits for connections; a lone read whose connection was
// lost is sent again on another.
func (c *Client) do(ctx context.Context, head *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	head.demand(ctx)
	var deadline time.Time
	again := 0
	if head.retry && head.next == nil {
		again = len(c.lanes) // a server that ends takes all links with it, and each may be found down in turn
	}
	for {
		l, err := c.acquire(ctx, &deadline)
		if err != nil {
			return err
		}
		err = l.do(ctx, head)
		switch {
		case errors.Is(err, errDown):
		case again > 0 && errors.Is(err, ErrConnectionLost) && c.ctx.Err() == nil:
			again--
		default:
			return err
		}
	}
}

// submit sends q and does not wait for its reply.
func (c *Client) submit(ctx context.Context, q *call) (*link, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var deadline time.Time
	for {
		l, err := c.acquire(ctx, &deadline)
		if err != nil {
			return nil, err
		}
		if err = l.submit(ctx, q); !errors.Is(err, errDown) {
			return l, err
		}
	}
}

// request sends q, waits, and reads its reply.
func request[R any](ctx context.Context, q *call, decode func(*call) (R, error)) (result R, err error) {
	if err = q.seal(); err == nil {
		err = q.client.do(ctx, q)
	}
	if err != nil {
		err = q.failed(err)
	} else {
		result, err = outcome(q, decode)
	}
	q.release()
	return result, err
}

// outcome is what the reply of a completed call says.
func outcome[R any](q *call, decode func(*call) (R, error)) (result R, err error) {
	switch {
	case q.lost != nil:
		return result, q.asError(q.lost)
	case q.status != codec.StatusOK && (!q.orNone || q.status != codec.StatusKeyError):
		return result, replyError(q.op.String(), q.table, q.status, q.reply)
	}
	if result, err = decode(q); err != nil {
		return result, q.failed(err)
	}
	return result, nil
}

// asError is failed for an error that may be an *Error already.
func (q *call) asError(err error) error {
	if e, ok := err.(*Error); ok { //nolint:errorlint // only one that is not wrapped is complete
		return e
	}
	if errors.Is(err, errDown) {
		err = ErrUnsent
	}
	return q.failed(err)
}
