package client

import (
	"context"
	"errors"
	"fmt"
)

// Pipeline collects requests and sends them together: one write, one wait. The server applies them
// in the order in which they were added; requests of other clients may come between. A pipeline is
// for one goroutine.
//
//	p := c.Pipeline()
//	name := users.With(p).Get("bob")
//	visits := counters.With(p).Increment("visits", 1)
//	if err := p.Do(ctx); err != nil {
//		...
//	}
//	fmt.Println(name.Value(), visits.Value())
type Pipeline struct {
	client  *Client
	calls   []*call
	futures []resolver
}

// resolver is a Future of any type.
type resolver interface{ resolve(err error) error }

// Pipeline returns an empty pipeline.
func (c *Client) Pipeline() *Pipeline { return &Pipeline{client: c} }

// Len returns the number of requests added since the last Do.
func (p *Pipeline) Len() int { return len(p.calls) }

// Do sends the pipeline and waits for all replies. When it returns, every Future has its result and
// the pipeline is empty and can be used again.
//
// Do returns the error of the first request that failed; each Future has its own error. The other
// requests are applied all the same. If a request is not valid (ErrTooLarge, a value that has no
// encoding), Do sends nothing. If ctx ends first, all Futures have the context's error, and the
// requests may or may not be applied.
func (p *Pipeline) Do(ctx context.Context) error {
	calls, futures := p.calls, p.futures
	p.calls, p.futures = nil, nil
	if len(calls) == 0 {
		return nil
	}
	err := seal(calls)
	if err == nil {
		err = p.client.do(ctx, calls[0])
		if errors.Is(err, ErrConnectionLost) { // some replies may have come before: each call has its own error
			err = nil
		}
	}
	var first error
	for i, f := range futures {
		failure := err
		if failure != nil {
			failure = calls[i].asError(failure)
		}
		futures[i] = nil
		if failure = f.resolve(failure); first == nil {
			first = failure
		}
	}
	return first
}

// seal completes all frames and links the calls by next.
func seal(calls []*call) error {
	if len(calls) > maxPipeline {
		return fmt.Errorf("%w: %d requests in a pipeline, the limit is %d", ErrTooLarge, len(calls), maxPipeline)
	}
	for i, q := range calls {
		if err := q.seal(); err != nil {
			return &Error{
				Op:    q.op.String(),
				Table: q.table,
				Err:   fmt.Errorf("%w: request %d of the pipeline: %w", ErrUnsent, i, err),
			}
		}
		if i > 0 {
			calls[i-1].next = q
		}
	}
	return nil
}

// Future is the result of a request in a pipeline. It is available when the pipeline's Do has
// returned.
type Future[R any] struct {
	call   *call
	decode func(*call) (R, error)
	result R
	err    error
}

// queue adds q to p.
func queue[R any](p *Pipeline, q *call, decode func(*call) (R, error)) *Future[R] {
	f := &Future[R]{call: q, decode: decode, err: ErrNotDone}
	p.calls, p.futures = append(p.calls, q), append(p.futures, f)
	return f
}

// resolve sets the result from the reply, or the error if there is no reply, and releases the call.
func (f *Future[R]) resolve(err error) error {
	if f.err = err; err == nil {
		f.result, f.err = outcome(f.call, f.decode)
	}
	f.call.release()
	f.call = nil
	return f.err
}

// Result returns the request's result. Errors: those of the request; ErrNotDone before the
// pipeline's Do has returned.
func (f *Future[R]) Result() (R, error) { return f.result, f.err }

// Value returns the request's result, or the zero value if it failed or Do has not returned.
func (f *Future[R]) Value() R { return f.result }

// Err returns the request's error, nil if it succeeded, and ErrNotDone before Do has returned.
func (f *Future[R]) Err() error { return f.err }
