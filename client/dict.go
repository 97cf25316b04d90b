package client

import (
	"context"
	"iter"

	"cyberdb-fast/codec"
)

// Dict is a handle of a dict with keys of type K and values of type V. It consists of the table's
// name, so making one sends no request. Any number of goroutines may use it. Every method is one
// request, which the server applies as a whole or not at all.
//
// Keys compare as in Python: 1, 1.0 and true are one key. Items are in the order of their
// insertion; setting an existing key keeps its position. Besides the errors named below, every
// method returns ErrNoSuchTable, ErrWrongTableKind if the table is a list, ErrType for a key that
// Python cannot hash, and the errors of the connection.
type Dict[K, V any] struct {
	client *Client
	table  *tableName
	ttl    int64 // what writes say about deadlines: milliseconds, codec.KeepTimeToLive or noTTL
}

// noTTL means that requests have no time to live.
const noTTL = 0

// DictOf returns a handle of the dict named table.
func DictOf[K, V any](c *Client, table string) *Dict[K, V] {
	return &Dict[K, V]{c, nameTable(table), noTTL}
}

// Name returns the table's name.
func (d *Dict[K, V]) Name() string { return d.table.text }

// DictPipe adds requests for a dict to a pipeline. Its methods are those of Dict, with the result
// in a Future.
type DictPipe[K, V any] struct {
	dict     *Dict[K, V]
	pipeline *Pipeline
}

// With returns a handle that adds requests for d to p.
func (d *Dict[K, V]) With(p *Pipeline) DictPipe[K, V] { return DictPipe[K, V]{d, p} }

// seqOf returns items as a sequence.
func seqOf[K, V any](items []Item[K, V]) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, item := range items {
			if !yield(item.Key, item.Value) {
				return
			}
		}
	}
}

// Create creates the table with the given items. Errors: ErrTableExists.
func (d *Dict[K, V]) Create(ctx context.Context, items ...Item[K, V]) error {
	_, err := request(ctx, d.create(false, seqOf(items)), decodeOne[bool])
	return err
}

// Ensure creates the table with the given items unless it exists; made reports whether it did. An
// existing table is not changed.
func (d *Dict[K, V]) Ensure(ctx context.Context, items ...Item[K, V]) (made bool, err error) {
	return request(ctx, d.create(true, seqOf(items)), decodeOne[bool])
}

// CreateFrom is Create with the items of a sequence, such as maps.All(m).
func (d *Dict[K, V]) CreateFrom(ctx context.Context, items iter.Seq2[K, V]) error {
	_, err := request(ctx, d.create(false, items), decodeOne[bool])
	return err
}

func (d *Dict[K, V]) create(existOK bool, items iter.Seq2[K, V]) *call {
	q := d.client.write(codec.OpCreateDict, d.table)
	add(q, existOK)
	return addItems(q, items)
}

// Drop removes the table and its contents.
func (d *Dict[K, V]) Drop(ctx context.Context) error {
	return perform(ctx, d.client.write(codec.OpDrop, d.table))
}

// Get returns the value of k. Errors: ErrKey if k is absent.
func (d *Dict[K, V]) Get(ctx context.Context, k K) (V, error) {
	return request(ctx, d.get(k), decodeOne[V])
}

func (d *Dict[K, V]) get(k K) *call {
	q := d.client.read(codec.OpDictGet, d.table)
	add(q, k)
	return q
}

// Get is Dict.Get.
func (p DictPipe[K, V]) Get(k K) *Future[V] { return queue(p.pipeline, p.dict.get(k), decodeOne[V]) }

// Lookup returns the value of k; ok is false if k is absent.
func (d *Dict[K, V]) Lookup(ctx context.Context, k K) (v V, ok bool, err error) {
	e, err := request(ctx, d.lookup(k), decodeEntry[V])
	return e.Value, e.Found, err
}

func (d *Dict[K, V]) lookup(k K) *call {
	q := d.get(k)
	q.orNone = true
	return q
}

// Lookup is Dict.Lookup.
func (p DictPipe[K, V]) Lookup(k K) *Future[Entry[V]] {
	return queue(p.pipeline, p.dict.lookup(k), decodeEntry[V])
}

// GetOr returns the value of k, or fallback if k is absent.
func (d *Dict[K, V]) GetOr(ctx context.Context, k K, fallback V) (V, error) {
	e, err := request(ctx, d.lookup(k), decodeEntry[V])
	if err == nil && !e.Found {
		return fallback, nil
	}
	return e.Value, err
}

// GetMany returns an Entry for each of keys, in their order.
func (d *Dict[K, V]) GetMany(ctx context.Context, keys ...K) ([]Entry[V], error) {
	return request(ctx, d.getMany(keys), decodeEntries[V])
}

func (d *Dict[K, V]) getMany(keys []K) *call {
	return addAll(d.client.read(codec.OpDictGetMany, d.table), keys)
}

// GetMany is Dict.GetMany.
func (p DictPipe[K, V]) GetMany(keys ...K) *Future[[]Entry[V]] {
	return queue(p.pipeline, p.dict.getMany(keys), decodeEntries[V])
}

// Contains reports whether k is present.
func (d *Dict[K, V]) Contains(ctx context.Context, k K) (bool, error) {
	return request(ctx, d.contains(k), decodeOne[bool])
}

func (d *Dict[K, V]) contains(k K) *call {
	q := d.client.read(codec.OpDictContains, d.table)
	add(q, k)
	return q
}

// Contains is Dict.Contains.
func (p DictPipe[K, V]) Contains(k K) *Future[bool] {
	return queue(p.pipeline, p.dict.contains(k), decodeOne[bool])
}

// Len returns the number of items.
func (d *Dict[K, V]) Len(ctx context.Context) (int, error) {
	return request(ctx, d.len(), decodeOne[int])
}

func (d *Dict[K, V]) len() *call { return d.client.read(codec.OpDictLen, d.table) }

// Len is Dict.Len.
func (p DictPipe[K, V]) Len() *Future[int] { return queue(p.pipeline, p.dict.len(), decodeOne[int]) }

// Set sets the value of k to v and removes its deadline; see WithTTL and KeepTTL.
func (d *Dict[K, V]) Set(ctx context.Context, k K, v V) error { return perform(ctx, d.set(k, v)) }

func (d *Dict[K, V]) set(k K, v V) *call {
	q := d.writing(codec.Request{Op: codec.OpDictSet})
	add(q, k)
	add(q, v)
	return q
}

// Set is Dict.Set.
func (p DictPipe[K, V]) Set(k K, v V) *Future[struct{}] {
	return queue(p.pipeline, p.dict.set(k, v), decodeNothing)
}

// SetDefault returns the value of k; if k is absent, it sets the value to v first.
func (d *Dict[K, V]) SetDefault(ctx context.Context, k K, v V) (V, error) {
	return request(ctx, d.setDefault(k, v), decodeOne[V])
}

func (d *Dict[K, V]) setDefault(k K, v V) *call {
	q := d.writing(codec.Request{Op: codec.OpDictSetDefault})
	add(q, k)
	add(q, v)
	return q
}

// SetDefault is Dict.SetDefault.
func (p DictPipe[K, V]) SetDefault(k K, v V) *Future[V] {
	return queue(p.pipeline, p.dict.setDefault(k, v), decodeOne[V])
}

// Update sets all items of a sequence, such as maps.All(m), atomically. Errors: ErrTooLarge for
// more than 524,288 items, or if they exceed the size of a frame.
func (d *Dict[K, V]) Update(ctx context.Context, items iter.Seq2[K, V]) error {
	return perform(ctx, d.update(items))
}

func (d *Dict[K, V]) update(items iter.Seq2[K, V]) *call {
	return addItems(d.writing(codec.Request{Op: codec.OpDictUpdate}), items)
}

// Update is Dict.Update.
func (p DictPipe[K, V]) Update(items iter.Seq2[K, V]) *Future[struct{}] {
	return queue(p.pipeline, p.dict.update(items), decodeNothing)
}

// Delete removes k. Errors: ErrKey if k is absent.
func (d *Dict[K, V]) Delete(ctx context.Context, k K) error { return perform(ctx, d.delete(k)) }

func (d *Dict[K, V]) delete(k K) *call {
	q := d.client.write(codec.OpDictDelete, d.table)
	add(q, k)
	return q
}

// Delete is Dict.Delete.
func (p DictPipe[K, V]) Delete(k K) *Future[struct{}] {
	return queue(p.pipeline, p.dict.delete(k), decodeNothing)
}

// DeleteMany removes keys atomically. It returns a bool for each, in their order: whether it was
// there; a key that is repeated was there once.
func (d *Dict[K, V]) DeleteMany(ctx context.Context, keys ...K) ([]bool, error) {
	return request(ctx, d.deleteMany(keys), decodeMany[bool])
}

func (d *Dict[K, V]) deleteMany(keys []K) *call {
	return addAll(d.client.write(codec.OpDictDeleteMany, d.table), keys)
}

// DeleteMany is Dict.DeleteMany.
func (p DictPipe[K, V]) DeleteMany(keys ...K) *Future[[]bool] {
	return queue(p.pipeline, p.dict.deleteMany(keys), decodeMany[bool])
}

// Pop removes k and returns its value. Errors: ErrKey if k is absent.
func (d *Dict[K, V]) Pop(ctx context.Context, k K) (V, error) {
	return request(ctx, d.pop(k), decodeOne[V])
}

func (d *Dict[K, V]) pop(k K) *call {
	q := d.client.write(codec.OpDictPop, d.table)
	add(q, k)
	return q
}

// Pop is Dict.Pop.
func (p DictPipe[K, V]) Pop(k K) *Future[V] { return queue(p.pipeline, p.dict.pop(k), decodeOne[V]) }

// PopOr removes k and returns its value, or fallback if k is absent.
func (d *Dict[K, V]) PopOr(ctx context.Context, k K, fallback V) (V, error) {
	q := d.pop(k)
	q.orNone = true
	e, err := request(ctx, q, decodeEntry[V])
	if err == nil && !e.Found {
		return fallback, nil
	}
	return e.Value, err
}

// PopItem removes the newest item and returns it. Errors: ErrKey if the dict is empty.
func (d *Dict[K, V]) PopItem(ctx context.Context) (Item[K, V], error) {
	return request(ctx, d.popItem(), decodeItem[K, V])
}

func (d *Dict[K, V]) popItem() *call { return d.client.write(codec.OpDictPopItem, d.table) }

// PopItem is Dict.PopItem.
func (p DictPipe[K, V]) PopItem() *Future[Item[K, V]] {
	return queue(p.pipeline, p.dict.popItem(), decodeItem[K, V])
}

// Clear removes all items.
func (d *Dict[K, V]) Clear(ctx context.Context) error { return perform(ctx, d.clear()) }

func (d *Dict[K, V]) clear() *call { return d.client.write(codec.OpDictClear, d.table) }

// Clear is Dict.Clear.
func (p DictPipe[K, V]) Clear() *Future[struct{}] {
	return queue(p.pipeline, p.dict.clear(), decodeNothing)
}
