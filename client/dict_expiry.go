package client

import (
	"context"
	"fmt"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// MaxTTL is the longest time to live: 100 years of 365.25 days.
const MaxTTL = codec.MaxTimeToLive * time.Millisecond

// Remaining is the time that an entry still lives.
type Remaining struct {
	Expires bool          // whether the entry has a deadline
	TTL     time.Duration // until the deadline, at least 1 ms; 0 if there is none
}

// WithTTL returns a handle of the same table whose writes give entries a deadline: they expire ttl
// after the server has executed the request. ttl is above 0 and at most MaxTTL, and is rounded up
// to milliseconds; otherwise every request of the handle returns ErrValue and is not sent.
//
// Set, SetVersioned, SetIf, Update, CompareAndSet, SetIfAbsent and Modify set the deadline of what
// they write. SetDefault and Increment set it only if they create the entry, so the window of a
// rate limit begins with its first hit:
//
//	hits, err := limits.WithTTL(time.Minute).Increment(ctx, address, 1)
//
// Other methods are those of d, also in a pipeline: limits.WithTTL(time.Minute).With(p).
func (d *Dict[K, V]) WithTTL(ttl time.Duration) *Dict[K, V] {
	ms, err := wireTTL(ttl)
	table := d.table
	if err != nil && table.err == nil {
		table = &tableName{text: table.text, err: err}
	}
	return &Dict[K, V]{d.client, table, ms}
}

// KeepTTL returns a handle of the same table with which Set, SetVersioned, SetIf and Update do not
// change the deadline of an entry that exists. Without it, and without WithTTL, they remove it.
// Increment, CompareAndSet, SetIfAbsent and Modify keep it anyway.
func (d *Dict[K, V]) KeepTTL() *Dict[K, V] {
	return &Dict[K, V]{d.client, d.table, codec.KeepTimeToLive}
}

// wireTTL returns ttl as milliseconds, rounded up. Errors: ErrValue.
func wireTTL(ttl time.Duration) (ms int64, err error) {
	if ttl <= 0 || ttl > MaxTTL {
		return 0, fmt.Errorf("%w: a time to live is above 0 and at most 100 years, not %v", ErrValue, ttl)
	}
	return int64((ttl-1)/time.Millisecond) + 1, nil
}

// writing begins a request that writes entries, with the time to live of the handle.
func (d *Dict[K, V]) writing(req codec.Request) *call {
	if d.ttl != noTTL {
		req.Flags |= codec.FlagTimeToLive
		req.TTL = d.ttl
	}
	return d.client.begin(req, d.table)
}

// SetWithTTL sets the value of k to v; the entry expires after ttl. It is WithTTL(ttl).Set. Errors:
// ErrValue, and nothing is sent, if ttl is not above 0 or is above MaxTTL.
func (d *Dict[K, V]) SetWithTTL(ctx context.Context, k K, v V, ttl time.Duration) error {
	return d.WithTTL(ttl).Set(ctx, k, v)
}

// SetWithTTL is Dict.SetWithTTL.
func (p DictPipe[K, V]) SetWithTTL(k K, v V, ttl time.Duration) *Future[struct{}] {
	return p.dict.WithTTL(ttl).With(p.pipeline).Set(k, v)
}

// TTL returns the time after which k expires, at least 1 ms; expires is false if k has no deadline.
// The default time to live of the dict counts, its idle time does not. Errors: ErrKey if k is
// absent.
func (d *Dict[K, V]) TTL(ctx context.Context, k K) (left time.Duration, expires bool, err error) {
	r, err := request(ctx, d.timeToLive(k), decodeRemaining)
	return r.TTL, r.Expires, err
}

func (d *Dict[K, V]) timeToLive(k K) *call {
	q := d.client.read(codec.OpDictTTL, d.table)
	add(q, k)
	return q
}

// TTL is Dict.TTL.
func (p DictPipe[K, V]) TTL(k K) *Future[Remaining] {
	return queue(p.pipeline, p.dict.timeToLive(k), decodeRemaining)
}

func decodeRemaining(q *call) (r Remaining, err error) {
	ms, err := govalue.UnmarshalOf[*int64](q.reply)
	switch {
	case err != nil || ms == nil:
		return r, err
	case *ms <= 0 || *ms > codec.MaxTimeToLive:
		return r, fmt.Errorf("%w: a time to live of %d ms", ErrProtocol, *ms)
	}
	return Remaining{true, time.Duration(*ms) * time.Millisecond}, nil
}

// Expire makes k expire after ttl, which is rounded up to milliseconds. k keeps its value and its
// position and gets a new version. Errors: ErrKey if k is absent; ErrValue, and nothing is sent, if
// ttl is not above 0 or is above MaxTTL.
func (d *Dict[K, V]) Expire(ctx context.Context, k K, ttl time.Duration) error {
	return perform(ctx, d.expire(codec.Request{}, k, ttl))
}

// Expire is Dict.Expire.
func (p DictPipe[K, V]) Expire(k K, ttl time.Duration) *Future[struct{}] {
	return queue(p.pipeline, p.dict.expire(codec.Request{}, k, ttl), decodeNothing)
}

// ExpireIf is Expire if the entry's version is still the given one; it returns the new version.
// Errors: those of Expire, and ErrVersionMismatch.
func (d *Dict[K, V]) ExpireIf(ctx context.Context, k K, ttl time.Duration, version Version) (Version, error) {
	req := codec.Request{Flags: codec.FlagIfVersion | codec.FlagWantVersion, IfVersion: uint64(version)}
	return request(ctx, d.expire(req, k, ttl), decodeVersion)
}

func (d *Dict[K, V]) expire(req codec.Request, k K, ttl time.Duration) *call {
	req.Op = codec.OpDictExpire
	q := d.WithTTL(ttl).writing(req)
	add(q, k)
	return q
}

// Persist removes the deadline of k: not even the default time to live of the dict applies until k
// is set again. The idle time of the dict still does. Errors: ErrKey if k is absent.
func (d *Dict[K, V]) Persist(ctx context.Context, k K) error { return perform(ctx, d.persist(k)) }

func (d *Dict[K, V]) persist(k K) *call {
	q := d.client.begin(
		codec.Request{Op: codec.OpDictExpire, Flags: codec.FlagTimeToLive, TTL: codec.Persist},
		d.table,
	)
	add(q, k)
	return q
}

// Persist is Dict.Persist.
func (p DictPipe[K, V]) Persist(k K) *Future[struct{}] {
	return queue(p.pipeline, p.dict.persist(k), decodeNothing)
}

// Touch restarts the idle time of k and, if k lives by the default time to live of the dict, that
// too. A deadline of its own stays. Errors: ErrKey if k is absent.
func (d *Dict[K, V]) Touch(ctx context.Context, k K) error { return perform(ctx, d.touch(k)) }

func (d *Dict[K, V]) touch(k K) *call {
	q := d.client.write(codec.OpDictTouch, d.table)
	add(q, k)
	return q
}

// Touch is Dict.Touch.
func (p DictPipe[K, V]) Touch(k K) *Future[struct{}] {
	return queue(p.pipeline, p.dict.touch(k), decodeNothing)
}
