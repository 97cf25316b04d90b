package client

import (
	"context"
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// Entry is what stands under one key: Value is the zero value if nothing was found.
type Entry[V any] struct {
	Value V
	Found bool
}

// Version says which write of an entry one has seen: it grows with every write of the entry, and no
// two writes of a server share one, over restarts too, whatever these have lost.
type Version uint64

// Absent is the Version of an entry that is not there.
const Absent Version = 0

// Versioned is a value with its entry's version.
type Versioned[V any] struct {
	Value   V
	Version Version
}

// Item is a key and its value.
type Item[K, V any] struct {
	Key   K
	Value V
}

// nothing is the result of a request whose reply has no body.
type nothing = struct{}

func decodeNothing(*call) (nothing, error) { return nothing{}, nil }

func decodeOne[V any](q *call) (V, error) { return govalue.UnmarshalOf[V](q.reply) }

// decodeEntry reads the reply of a request that takes KeyError for an answer.
func decodeEntry[V any](q *call) (e Entry[V], err error) {
	if q.status == codec.StatusKeyError {
		return e, nil
	}
	e.Value, err = govalue.UnmarshalOf[V](q.reply)
	e.Found = err == nil
	return e, err
}

func decodeVersioned[V any](q *call) (v Versioned[V], err error) {
	v.Version = Version(q.version)
	v.Value, err = govalue.UnmarshalOf[V](q.reply)
	return v, err
}

func decodeVersion(q *call) (Version, error) { return Version(q.version), nil }

// decodeMany reads a body of any number of values.
func decodeMany[T any](q *call) (all []T, err error) {
	for b := q.reply; len(b) > 0; {
		var v T
		if b, err = decodeNext(b, &v); err != nil {
			return nil, fmt.Errorf("element %d: %w", len(all), err)
		}
		all = append(all, v)
	}
	return all, nil
}

func decodeItems[K, V any](q *call) ([]Item[K, V], error) { return itemsOf[K, V](q.reply) }

func itemsOf[K, V any](b []byte) (all []Item[K, V], err error) {
	for len(b) > 0 {
		var item Item[K, V]
		if b, err = decodeNext(b, &item.Key); err == nil {
			b, err = decodeNext(b, &item.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", len(all), err)
		}
		all = append(all, item)
	}
	return all, nil
}

func decodeItem[K, V any](q *call) (item Item[K, V], err error) {
	all, err := itemsOf[K, V](q.reply)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%w: %d items where one was due", ErrProtocol, len(all))
	}
	if err != nil {
		return item, err
	}
	return all[0], nil
}

func decodeEntries[V any](q *call) (all []Entry[V], err error) {
	for b := q.reply; len(b) > 0; {
		var e Entry[V]
		if b[0] == codec.Absent {
			b = b[1:]
		} else if b, err = decodeNext(b, &e.Value); err != nil {
			return nil, fmt.Errorf("key %d: %w", len(all), err)
		} else {
			e.Found = true
		}
		all = append(all, e)
	}
	return all, nil
}

// decodeNext reads the value at the front of b.
func decodeNext[T any](b []byte, into *T) (rest []byte, err error) {
	if rest, err = msgp.Skip(b); err != nil {
		return b, fmt.Errorf("%w: a value of the reply cannot be read: %w", ErrProtocol, err)
	}
	*into, err = govalue.UnmarshalOf[T](b[:len(b)-len(rest)])
	return rest, err
}

// perform is request for a reply without a body.
func perform(ctx context.Context, q *call) error {
	_, err := request(ctx, q, decodeNothing)
	return err
}
