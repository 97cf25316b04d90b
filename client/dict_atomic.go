package client

import (
	"context"
	"errors"

	"cyberdb-fast/codec"
)

// Increment adds by to the value of k, or to 0 if k is absent, and returns the sum. An entry that
// exists keeps its deadline. Errors: ErrType if the value is not a number; ErrOverflow.
func (d *Dict[K, V]) Increment(ctx context.Context, k K, by V) (V, error) {
	return request(ctx, d.increment(k, by), decodeOne[V])
}

func (d *Dict[K, V]) increment(k K, by V) *call {
	q := d.writing(codec.Request{Op: codec.OpDictIncrement})
	add(q, k)
	add(q, by)
	return q
}

// Increment is Dict.Increment.
func (p DictPipe[K, V]) Increment(k K, by V) *Future[V] {
	return queue(p.pipeline, p.dict.increment(k, by), decodeOne[V])
}

// IncrementIf is Increment if the entry's version is still the given one; Present as version means
// that k must be there. Errors: those of Increment, and ErrVersionMismatch.
func (d *Dict[K, V]) IncrementIf(ctx context.Context, k K, by V, version Version) (V, error) {
	return request(ctx, d.incrementIf(k, by, version), decodeOne[V])
}

func (d *Dict[K, V]) incrementIf(k K, by V, version Version) *call {
	q := d.writing(codec.Request{
		Op:        codec.OpDictIncrement,
		Flags:     codec.FlagIfVersion,
		IfVersion: uint64(version),
	})
	add(q, k)
	add(q, by)
	return q
}

// IncrementIf is Dict.IncrementIf.
func (p DictPipe[K, V]) IncrementIf(k K, by V, version Version) *Future[V] {
	return queue(p.pipeline, p.dict.incrementIf(k, by, version), decodeOne[V])
}

// CompareAndSet sets the value of k to new if it equals old as Python compares, and reports whether
// it did. k keeps its deadline.
func (d *Dict[K, V]) CompareAndSet(ctx context.Context, k K, old, new V) (bool, error) {
	return request(ctx, d.compareAndSet(k, &old, &new), decodeOne[bool])
}

// SetIfAbsent sets the value of k to v if k is absent, and reports whether it did.
func (d *Dict[K, V]) SetIfAbsent(ctx context.Context, k K, v V) (bool, error) {
	return request(ctx, d.compareAndSet(k, nil, &v), decodeOne[bool])
}

// SetIfAbsent is Dict.SetIfAbsent.
func (p DictPipe[K, V]) SetIfAbsent(k K, v V) *Future[bool] {
	return queue(p.pipeline, p.dict.compareAndSet(k, nil, &v), decodeOne[bool])
}

// DeleteIfEqual removes k if its value equals old, and reports whether it did.
func (d *Dict[K, V]) DeleteIfEqual(ctx context.Context, k K, old V) (bool, error) {
	return request(ctx, d.compareAndSet(k, &old, nil), decodeOne[bool])
}

// compareAndSet begins COMPARE AND SET. nil as old or new means that k is absent.
func (d *Dict[K, V]) compareAndSet(k K, old, new *V) *call {
	q := d.writing(codec.Request{Op: codec.OpDictCompareAndSet})
	add(q, k)
	for _, v := range []*V{old, new} {
		if v == nil {
			q.addAbsent()
		} else {
			add(q, *v)
		}
	}
	return q
}

// CompareAndSet is Dict.CompareAndSet.
func (p DictPipe[K, V]) CompareAndSet(k K, old, new V) *Future[bool] {
	return queue(p.pipeline, p.dict.compareAndSet(k, &old, &new), decodeOne[bool])
}

// GetVersioned returns the value of k and its version, for SetIf, DeleteIf and PopIf. Errors:
// ErrKey if k is absent.
func (d *Dict[K, V]) GetVersioned(ctx context.Context, k K) (V, Version, error) {
	q := d.client.begin(codec.Request{Op: codec.OpDictGet, Flags: codec.FlagWantVersion}, d.table)
	q.retry = true
	add(q, k)
	v, err := request(ctx, q, decodeVersioned[V])
	return v.Value, v.Version, err
}

// SetVersioned sets the value of k to v and returns the new version.
func (d *Dict[K, V]) SetVersioned(ctx context.Context, k K, v V) (Version, error) {
	q := d.writing(codec.Request{Op: codec.OpDictSet, Flags: codec.FlagWantVersion})
	add(q, k)
	add(q, v)
	return request(ctx, q, decodeVersion)
}

// SetIf sets the value of k to v if the entry's version is still the given one, and returns the new
// version. Absent as version means that k must be absent, Present that it must be there: SetIf then
// replaces its value. Errors: ErrVersionMismatch.
func (d *Dict[K, V]) SetIf(ctx context.Context, k K, v V, version Version) (Version, error) {
	return request(ctx, d.setIf(k, v, version), decodeVersion)
}

func (d *Dict[K, V]) setIf(k K, v V, version Version) *call {
	q := d.writing(codec.Request{
		Op:        codec.OpDictSet,
		Flags:     codec.FlagIfVersion | codec.FlagWantVersion,
		IfVersion: uint64(version),
	})
	add(q, k)
	add(q, v)
	return q
}

// SetIf is Dict.SetIf.
func (p DictPipe[K, V]) SetIf(k K, v V, version Version) *Future[Version] {
	return queue(p.pipeline, p.dict.setIf(k, v, version), decodeVersion)
}

// DeleteIf removes k if the entry's version is still the given one. Errors: ErrVersionMismatch,
// ErrKey.
func (d *Dict[K, V]) DeleteIf(ctx context.Context, k K, version Version) error {
	q := d.ifVersion(codec.OpDictDelete, version)
	add(q, k)
	return perform(ctx, q)
}

// PopIf removes k if the entry's version is still the given one, and returns its value. Errors:
// ErrVersionMismatch, ErrKey.
func (d *Dict[K, V]) PopIf(ctx context.Context, k K, version Version) (V, error) {
	q := d.ifVersion(codec.OpDictPop, version)
	add(q, k)
	return request(ctx, q, decodeOne[V])
}

func (d *Dict[K, V]) ifVersion(op codec.Opcode, version Version) *call {
	return d.client.begin(
		codec.Request{Op: op, Flags: codec.FlagIfVersion, IfVersion: uint64(version)},
		d.table,
	)
}

// Modify sets the value of k to the result of change and returns it. change gets the current value,
// or the zero value and false if k is absent. If another client writes k in between, Modify calls
// change again. If change returns an error, Modify returns it and nothing is written. k keeps its
// deadline; Modify of a handle from WithTTL sets it.
func (d *Dict[K, V]) Modify(ctx context.Context, k K, change func(v V, found bool) (V, error)) (V, error) {
	writing := d
	if d.ttl == noTTL {
		writing = d.KeepTTL()
	}
	for {
		old, version, err := d.GetVersioned(ctx, k)
		found := err == nil
		if err != nil && !errors.Is(err, ErrKey) {
			return old, err
		}
		if !found {
			version = Absent
		}
		v, err := change(old, found)
		if err != nil {
			return v, err
		}
		if _, err = writing.SetIf(ctx, k, v, version); !errors.Is(err, ErrVersionMismatch) {
			return v, err
		}
	}
}
