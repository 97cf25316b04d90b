package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
)

// Forever as a wait means: as long as the context allows.
const Forever time.Duration = math.MaxInt64

// addWait appends the time that a request may wait on the server: milliseconds, or nil for Forever.
func (q *call) addWait(wait time.Duration) {
	if wait > MaxTTL {
		q.frame = msgp.AppendNil(q.frame)
		q.args++
		return
	}
	q.addTime("a wait", wait, 0)
}

// addTime appends a time in milliseconds, rounded up, that is at least minimum and at most MaxTTL.
// If it is not, the request fails with ErrValue and is not sent.
func (q *call) addTime(what string, d, minimum time.Duration) {
	if q.err != nil {
		return
	}
	if d < minimum || d > MaxTTL {
		limits := "at least 0"
		if minimum > 0 {
			limits = "above 0"
		}
		q.err = fmt.Errorf("%w: %s is %s and at most 100 years, not %v", ErrValue, what, limits, d)
		return
	}
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	q.frame = msgp.AppendUint64(q.frame, uint64(ms))
	q.args++
}

// left returns what is left of a wait that began at a time.
func left(wait time.Duration, began time.Time) time.Duration {
	if wait == Forever || wait <= 0 {
		return wait
	}
	return max(0, wait-time.Since(began))
}

// repeat says when a request that waits is asked again.
type repeat bool

const (
	// ifRefused: when the server ends the wait because it stops. Nothing was done.
	ifRefused repeat = false
	// ifLost: also when the connection is lost. The server gives the same owner or claim the same
	// grant again.
	ifLost repeat = true
)

// ask sends a request that may wait on the server. If it is to be repeated, ask makes it again for
// the time that is left. build is called for each attempt.
func ask[R any](
	ctx context.Context,
	wait time.Duration,
	again repeat,
	build func(wait time.Duration) *call,
	decode func(*call) (R, error),
) (result R, err error) {
	began := time.Now()
	var lost *Error // of the attempt whose connection was lost last
	for retries, attempts := 0, 0; ; attempts++ {
		q := build(left(wait, began))
		c := q.client
		result, err = request(ctx, q, decode)
		switch {
		case errors.Is(err, ErrUnsent) && lost != nil:
			if errors.Is(err, ErrClosed) {
				lost.Err = fmt.Errorf("%w: %w", lost.Err, ErrClosed)
			}
			return result, lost
		case c.ctx.Err() != nil:
			return result, err
		case errors.Is(err, ErrConnectionLost) && again == ifLost:
			errors.As(err, &lost) // each error of a request is one
		case errors.Is(err, ErrCanceled) && lost != nil:
			// The server has executed the lost request after this one: it took over the place.
		case errors.Is(err, ErrShuttingDown):
			c.pause(ctx, attempts)
		default:
			return result, err
		}
		if left(wait, began) == 0 {
			if retries++; retries > len(c.slots) { // a restarted server may have broken every connection
				return result, err
			}
		}
	}
}

// pause waits before a request is made again that the server refused because it is stopping: until
// it has closed the connection, there is no other.
func (c *Client) pause(ctx context.Context, attempts int) {
	timer := time.NewTimer(min(firstBackoff<<min(attempts, 10), c.options.MaxBackoff))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
}

// mayOwn says whether a wait that has failed with err after so many attempts may have been granted
// all the same: the reply was lost, or was not kept.
func mayOwn(attempts int, err error) bool {
	return attempts > 1 || errors.Is(err, ErrConnectionLost) || errors.Is(err, ErrReplyTooLarge)
}

// granted says whether a reply that came too late for the caller has given it something.
func (q *call) granted() bool { return q.lost == nil && q.status == codec.StatusOK }

// undo sends q, which gives back what a late reply on c has given. Nobody waits for its reply.
func undo(c *conn, q *call) {
	if q.seal() == nil && c.post(q) != nil {
		_ = q.client.post(q) // if that fails too, the lease ends it
	}
}
