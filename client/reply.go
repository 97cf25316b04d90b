package client

import (
	"context"
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// Entry is the result of looking up one key. If the key is absent, Found is false and Value is the
// zero value.
type Entry[V any] struct {
	Value V
	Found bool
}

// Version identifies the last write of an entry. It grows with every write of the entry. No two
// writes of a server have the same version, even if a restart lost some of them.
type Version uint64

// Versions that stand for others in the methods that take one, such as Dict.SetIf.
const (
	Absent  Version = 0                         // of an entry that does not exist
	Present         = Version(codec.AnyVersion) // of every entry that exists
)

// Versioned is a value and the version of its entry.
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

// decodeEntry decodes a reply for which KeyError is a result; see call.orNone.
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

// decodeMany decodes a body of any number of values.
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
		err = fmt.Errorf("%w: got %d items, want 1", ErrProtocol, len(all))
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

// decodeNext decodes the value at the front of b and returns what follows it.
func decodeNext[T any](b []byte, into *T) (rest []byte, err error) {
	if rest, err = msgp.Skip(b); err != nil {
		return b, fmt.Errorf("%w: cannot decode a value of the reply: %w", ErrProtocol, err)
	}
	*into, err = govalue.UnmarshalOf[T](b[:len(b)-len(rest)])
	return rest, err
}

// perform sends q and waits for its reply, which has no body.
func perform(ctx context.Context, q *call) error {
	_, err := request(ctx, q, decodeNothing)
	return err
}
