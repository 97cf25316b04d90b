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
// called from any goroutine; a process needs only one client per server.
type Client struct {
	// constant after New
	options Options
	slots   []*connSlot
	ctx     context.Context // done when the client is closed
	cancel  context.CancelFunc

	limits  atomic.Pointer[secure.Limits] // of the newest connection; written by slots, read by callers
	start   sync.Once
	running sync.WaitGroup
	calls   sync.Pool // calls that are released

	mu      sync.Mutex
	changed chan struct{} // guarded by mu: closed when a connection came up or an attempt failed
}

// New returns a client that connects with its first request. Its only I/O is to read the password
// file, if the environment names one. Errors: those of Options that are out of range, and of the
// password file.
func New(options Options) (*Client, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{options: options, changed: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.limits.Store(&secure.Limits{MaxFrameBytes: codec.MaxFrameBytes, MaxValueBytes: value.MaxValueBytes})
	for range options.Conns {
		c.slots = append(c.slots, &connSlot{client: c})
	}
	return c, nil
}

// Open returns a connected client. rawURL is "cyberdb://:password@host:port",
// "unix://:password@/path" or "host:port"; if it is empty, options name the server. options may be
// nil. The schemes "cyberdbs://" and "unixs://" encrypt. A password in rawURL is percent-encoded.
//
// Open does not retry: it fails when every connection's first attempt has failed. Errors:
// ErrWrongPassword, ErrRefused (with ErrEncryption if only one side encrypts), ErrProtocol, the
// dialer's error, and the context's error.
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
	if _, err = c.waitForConn(ctx, isError); err != nil {
		_ = c.Close()
		return nil, &Error{Err: err}
	}
	return c, nil
}

// Close closes the client and returns when all of its goroutines have ended. Outstanding requests
// fail with ErrClosed; see there. Close always returns nil.
func (c *Client) Close() error {
	c.cancel()
	c.start.Do(func() {})
	c.running.Wait()
	return nil
}

// connect starts the slots, once.
func (c *Client) connect() {
	c.start.Do(func() {
		for _, slot := range c.slots {
			c.running.Go(slot.run)
		}
	})
}

// notifyLocked wakes the callers in waitForConn.
func (c *Client) notifyLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// anyConn returns a connection that is up, or nil. It chooses at random: a round-robin counter
// would be shared by all callers.
func (c *Client) anyConn() *conn {
	n := len(c.slots)
	first := 0
	if n > 1 {
		first = int(rand.Uint32N(uint32(n)))
	}
	for i := range n {
		if cn := c.slots[(first+i)%n].conn.Load(); cn != nil {
			return cn
		}
	}
	return nil
}

// acquire returns a connection that is up. If there is none, it waits for one until *deadline; the
// first wait of a request sets that. Errors: ErrUnsent, wrapped; the context's error.
func (c *Client) acquire(ctx context.Context, deadline *time.Time) (*conn, error) {
	if cn := c.anyConn(); cn != nil {
		return cn, nil
	}
	if deadline.IsZero() {
		*deadline = time.Now().Add(c.options.WaitTimeout)
	}
	waiting, cancel := context.WithDeadline(ctx, *deadline)
	defer cancel()
	cn, err := c.waitForConn(waiting, isPermanent)
	switch {
	case err == nil:
		return cn, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case waiting.Err() != nil && errors.Is(err, waiting.Err()):
		err = fmt.Errorf("no connection within %s", c.options.WaitTimeout)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, slot := range c.slots {
			if slot.err != nil {
				err = slot.err
			}
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrUnsent, err)
}

// waitForConn waits until a connection is up, and returns an error if the last attempt of every
// slot failed with an error for which giveUp is true. Errors: also ErrClosed; the context's error.
func (c *Client) waitForConn(ctx context.Context, giveUp func(error) bool) (*conn, error) {
	for {
		if c.ctx.Err() != nil {
			return nil, ErrClosed
		}
		c.connect()
		c.mu.Lock()
		changed, err := c.changed, c.failureLocked(giveUp)
		cn := c.anyConn()
		c.mu.Unlock()
		if cn != nil || err != nil {
			return cn, err
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func isError(err error) bool { return err != nil }

// failureLocked returns the first slot's error if the last attempt of every slot failed with an
// error for which giveUp is true.
func (c *Client) failureLocked(giveUp func(error) bool) error {
	for _, slot := range c.slots {
		if slot.err == nil || !giveUp(slot.err) {
			return nil
		}
	}
	return c.slots[0].err
}

// do sends the pipeline that begins with head, whose frames are complete, and waits for the
// replies. If nothing was sent, it tries again until acquire's deadline. A single read is also sent
// again if its connection is lost.
func (c *Client) do(ctx context.Context, head *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := head.setConditions(ctx); err != nil {
		return err
	}
	var deadline time.Time
	retries := 0
	if head.retry && head.next == nil {
		retries = len(c.slots) // a restarted server may have broken every connection
	}
	for {
		cn, err := c.acquire(ctx, &deadline)
		if err != nil {
			return err
		}
		err = cn.do(ctx, head)
		switch {
		case errors.Is(err, errDown):
		case retries > 0 && errors.Is(err, ErrConnectionLost) && c.ctx.Err() == nil:
			retries--
		default:
			return err
		}
	}
}

// setConditions gives q and the calls after it what ctx says. Errors: ErrTooLarge, ErrValue.
func (q *call) setConditions(ctx context.Context) error {
	if err := q.setFence(ctx); err != nil {
		return err
	}
	if err := q.setDeadline(ctx); err != nil {
		return err
	}
	q.setDurable(ctx)
	return nil
}

// submit sends q without waiting for its reply, and returns the connection that q uses.
func (c *Client) submit(ctx context.Context, q *call) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := q.setDeadline(ctx); err != nil {
		return nil, err
	}
	var deadline time.Time
	for {
		cn, err := c.acquire(ctx, &deadline)
		if err != nil {
			return nil, err
		}
		if err = cn.submit(ctx, q); !errors.Is(err, errDown) {
			return cn, err
		}
	}
}

// request sends q, waits for its reply and decodes it. It releases q.
func request[R any](ctx context.Context, q *call, decode func(*call) (R, error)) (result R, err error) {
	if err = q.seal(); err == nil {
		err = q.client.do(ctx, q)
	}
	return finish(q, err, decode)
}

// finish returns the result of q, whose reply has come unless err says why not, and releases q.
func finish[R any](q *call, err error, decode func(*call) (R, error)) (result R, _ error) {
	if err != nil {
		err = q.failed(err)
	} else {
		result, err = outcome(q, decode)
	}
	q.release()
	return result, err
}

// outcome returns the result or the error in the reply to a completed call.
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

// asError returns err if it is an *Error, and q.failed(err) otherwise.
func (q *call) asError(err error) error {
	if e, ok := err.(*Error); ok { //nolint:errorlint // a wrapped *Error would lose its context
		return e
	}
	if errors.Is(err, errDown) {
		err = ErrUnsent
	}
	return q.failed(err)
}
