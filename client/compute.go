package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// ComputeOptions say how long computed values live. A zero field means its default.
type ComputeOptions struct {
	// TTL is how long a value is fresh. Default: as long as the dict lets an entry live that Set
	// writes: see WithTTL and DictOptions.TTL. That is for ever if neither limits it.
	TTL time.Duration
	// Stale is how much longer it is kept: while one caller computes the next value, the others get
	// this one and do not wait. Default: not at all. It goes with a TTL.
	Stale time.Duration
	// Lease is how soon another caller computes if this one's process ends; it is renewed during
	// the computation. Default 30 s.
	Lease time.Duration
}

// states of a reply of DICT GET OR COMPUTE
const (
	computeFresh  = 0 // value
	computeStale  = 1 // value; another caller computes
	computeRenew  = 2 // fence, value; this caller computes
	computeAbsent = 3 // fence; this caller computes
	computeEnded  = 4 // the wait has ended
)

// computeState is a reply of DICT GET OR COMPUTE.
type computeState[V any] struct {
	state int
	fence uint64
	value V
}

// GetOrCompute returns the value of k. If k is absent, one caller of all clients computes the value
// and stores it; the others wait for that, each as long as its context allows. They take no
// goroutine but their own.
//
// compute gets ctx. It must not ask for k again: that would wait for itself, as long as ctx allows.
// If it returns an error, GetOrCompute returns that error as it is and stores nothing, and the next
// caller that waits computes. The value is stored only if this caller still has the right to
// compute: if it lost it (its process was paused, the server unreachable), and another caller may
// have computed since, its own value is returned and not stored.
//
// If ctx has a fence (see IfFence), the value is stored only while the lock is held, too. If the
// lock is lost, GetOrCompute returns the value and ErrLockLost.
//
// Errors: ErrValue for an option that is out of range; those of Get. If the value was computed and
// could not be stored, GetOrCompute returns both the value and the error. A stale value that is not
// a V is computed anew, and is an error for the callers that get it meanwhile; a fresh one is an
// error.
func (d *Dict[K, V]) GetOrCompute(
	ctx context.Context,
	k K,
	options ComputeOptions,
	compute func(context.Context) (V, error),
) (v V, err error) {
	c, err := newComputation(d, k, options)
	if err != nil {
		return v, &Error{Op: codec.OpDictGetOrCompute.String(), Table: d.table.text, Err: err}
	}
	asked, attempts := time.Now(), 0
	got, err := ask(ctx, Forever, ifLost, func(wait time.Duration) *call {
		attempts++
		return c.request(wait)
	}, decodeComputeState[V])
	switch {
	case err != nil:
		if mayOwn(attempts, err) {
			_ = c.client.post(c.begin(codec.OpComputed))
		}
		return v, err
	case got.state == computeFresh || got.state == computeStale:
		return got.value, nil
	}
	c.fence = got.fence
	granted := asked
	if c.isOld(asked) { // it is renewed at once, and counts from the reply until then
		granted = time.Now()
	}
	c.start(asked, granted)
	defer c.giveBack()
	if v, err = compute(ctx); err != nil {
		return v, err
	}
	return v, c.store(ctx, v)
}

// Cached returns a function that returns compute's value for a key from d, or calls compute as
// GetOrCompute does.
//
//	page := client.Cached(pages, client.ComputeOptions{TTL: time.Minute}, render)
//	html, err := page(ctx, "/about")
func Cached[K, V any](
	d *Dict[K, V],
	options ComputeOptions,
	compute func(context.Context, K) (V, error),
) func(context.Context, K) (V, error) {
	return func(ctx context.Context, k K) (V, error) {
		return d.GetOrCompute(ctx, k, options, func(ctx context.Context) (V, error) { return compute(ctx, k) })
	}
}

// computation is one caller's request for a value that it may have to compute.
type computation[K, V any] struct {
	lease
	dict  *Dict[K, V]
	key   K
	owner owner
	stale time.Duration

	encoded   []byte // the key
	fence     uint64
	givenBack bool // the right to compute
}

func newComputation[K, V any](d *Dict[K, V], k K, o ComputeOptions) (*computation[K, V], error) {
	switch {
	case o.TTL < 0 || o.TTL > MaxTTL || o.Stale < 0 || o.Stale > MaxTTL-o.TTL:
		return nil, fmt.Errorf(
			"%w: TTL and Stale are at least 0 and together at most 100 years, not %v and %v",
			ErrValue,
			o.TTL,
			o.Stale,
		)
	case o.TTL == 0 && o.Stale > 0:
		return nil, fmt.Errorf("%w: Stale goes with a TTL: a value without one is never stale", ErrValue)
	}
	encoded, err := govalue.AppendOf(nil, k)
	if err != nil {
		return nil, err
	}
	c := &computation[K, V]{dict: d, key: k, encoded: encoded, owner: newOwner(), stale: o.Stale}
	c.lease = lease{client: d.client, ttl: or(o.Lease, defaultLease), renew: c.renewal}
	if o.TTL > 0 {
		c.dict = d.WithTTL(o.TTL + o.Stale)
	}
	return c, nil
}

// request makes the request DICT GET OR COMPUTE. If its reply comes too late for the caller, or not
// at all, the right to compute is given back.
func (c *computation[K, V]) request(wait time.Duration) *call {
	q := c.begin(codec.OpDictGetOrCompute)
	q.addTime("a lease", c.ttl, 1)
	q.addTime("Stale", c.stale, 0)
	q.addWait(wait)
	q.late = func(cn *conn, q *call) {
		var state int
		_, err := decodeNext(q.reply, &state)
		if q.lost != nil || q.granted() && err == nil && state >= computeRenew {
			undo(cn, c.begin(codec.OpComputed))
		}
	}
	return q
}

func (c *computation[K, V]) begin(op codec.Opcode) *call {
	q := c.dict.client.write(op, c.dict.table)
	add(q, c.key)
	add(q, c.owner[:])
	return q
}

func (c *computation[K, V]) renewal(ttl time.Duration) *call {
	q := c.begin(codec.OpRenewCompute)
	q.addTime("a lease", ttl, 1)
	return q
}

// decodeComputeState decodes the reply to DICT GET OR COMPUTE, but not a value that is about to be
// replaced.
func decodeComputeState[V any](q *call) (s computeState[V], err error) {
	rest, err := decodeNext(q.reply, &s.state)
	if err == nil && (s.state == computeRenew || s.state == computeAbsent) {
		rest, err = decodeNext(rest, &s.fence)
	}
	switch {
	case err != nil:
		return s, err
	case s.state == computeEnded:
		return s, ErrDeadlineExceeded
	case s.state < computeFresh || s.state > computeEnded:
		return s, fmt.Errorf("%w: state %d of a computation", ErrProtocol, s.state)
	case s.state == computeFresh || s.state == computeStale:
		_, err = decodeNext(rest, &s.value)
	}
	return s, err
}

// store sets the value and gives the right to compute back, in one write. The value is not set if
// another caller has that right, which is no error, or if the lock of ctx is lost.
func (c *computation[K, V]) store(ctx context.Context, v V) error {
	set := c.dict.set(c.key, v)
	if set.err == nil {
		set.err = set.addFence(&codec.Fence{Number: c.fence, Table: []byte(c.dict.table.text), Key: c.encoded})
	}
	if set.err == nil {
		set.err = set.setFence(ctx)
	}
	p := c.client.Pipeline()
	stored := queue(p, set, decodeNothing)
	computed := queue(p, c.begin(codec.OpComputed), decodeOne[bool])
	_ = p.Do(withoutFence(ctx)) // the right is given back whatever the lock is
	c.givenBack = computed.Err() == nil
	err := stored.Err()
	if !errors.Is(err, ErrLockLost) {
		return err
	}
	if conditionOf(ctx) != nil && c.client.Ping(ctx) != nil { // it is the lock that was lost, or may be
		return err
	}
	return nil
}

// giveBack ends the lease, and gives the right to compute back unless that was done: also if
// compute panicked.
func (c *computation[K, V]) giveBack() {
	_ = c.release()
	if !c.givenBack {
		_ = c.client.post(c.begin(codec.OpComputed))
	}
}
