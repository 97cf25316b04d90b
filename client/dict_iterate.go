package client

import (
	"context"
	"iter"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// Keys returns all keys in order, as of one moment.
func (d *Dict[K, V]) Keys(ctx context.Context) ([]K, error) {
	return request(ctx, d.client.read(codec.OpDictKeys, d.table), decodeMany[K])
}

// Values returns all values in order, as of one moment.
func (d *Dict[K, V]) Values(ctx context.Context) ([]V, error) {
	return request(ctx, d.client.read(codec.OpDictValues, d.table), decodeMany[V])
}

// Items returns all items in order, as of one moment.
func (d *Dict[K, V]) Items(ctx context.Context) ([]Item[K, V], error) {
	return request(ctx, d.client.read(codec.OpDictItems, d.table), decodeItems[K, V])
}

// All ranges over all items in order, as of the moment of the request, while they arrive. After the
// loop, failed returns nil if the loop has seen all items. If it returns an error, the items seen
// so far must not be used.
//
//	items, failed := users.All(ctx)
//	for name, user := range items {
//		...
//	}
//	if err := failed(); err != nil {
//		...
//	}
//
// Each loop over items sends the request anew. If a loop ends early, the rest of the reply is
// dropped. If a loop is so slow that more than Options.ReadAheadBytes are buffered for it, it ends
// with ErrSlowReader; Scan has no such limit.
func (d *Dict[K, V]) All(ctx context.Context) (items iter.Seq2[K, V], failed func() error) {
	var err error
	return func(yield func(K, V) bool) {
		var r *longRead
		if r, err = openRead(ctx, d.client.read(codec.OpDictItems, d.table)); err != nil {
			return
		}
		defer r.close()
		for {
			var item Item[K, V]
			var ok bool
			if ok, err = nextOf(r, &item.Key); err != nil || !ok {
				return
			}
			if ok, err = nextOf(r, &item.Value); err != nil || !ok {
				return
			}
			if !yield(item.Key, item.Value) {
				return
			}
		}
	}, func() error { return err }
}

// nextOf decodes the next value of a long read; ok is false at the end.
func nextOf[T any](r *longRead, into *T) (ok bool, err error) {
	b, err := r.value()
	if err != nil || b == nil {
		return false, err
	}
	if *into, err = govalue.UnmarshalOf[T](b); err != nil {
		return false, r.call.failed(err)
	}
	return true, nil
}

// scanItems is the number of items that Scan reads in one request.
const scanItems = 512

// Scan ranges over all items in order, with 512 items per request. Memory is bounded on both sides,
// however large the dict and however slow the loop. The items are not as of one moment: an item
// that exists during the whole scan is seen exactly once; an item that is set or removed during the
// scan may be seen or not. failed is as for All.
func (d *Dict[K, V]) Scan(ctx context.Context) (items iter.Seq2[K, V], failed func() error) {
	var err error
	return func(yield func(K, V) bool) {
		for cursor := int64(0); ; {
			var page page[K, V]
			q := d.client.read(codec.OpDictScan, d.table)
			add(q, cursor)
			add(q, scanItems)
			if page, err = request(ctx, q, decodePage[K, V]); err != nil {
				return
			}
			for _, item := range page.items {
				if !yield(item.Key, item.Value) {
					return
				}
			}
			if cursor = page.next; cursor == 0 {
				return
			}
		}
	}, func() error { return err }
}

// page is the reply to DICT SCAN. next is the cursor of the next request, 0 at the end.
type page[K, V any] struct {
	next  int64
	items []Item[K, V]
}

func decodePage[K, V any](q *call) (p page[K, V], err error) {
	b, err := decodeNext(q.reply, &p.next)
	if err == nil {
		p.items, err = itemsOf[K, V](b)
	}
	return p, err
}
