package client

import (
	"context"
	"iter"
	"math"

	"cyberdb-fast/codec"
)

// List is a handle of a list with elements of type T. It consists of the table's name, so making
// one sends no request. Any number of goroutines may use it. Every method is one request, which the
// server applies as a whole or not at all.
//
// Indexes and slices are as in Python: -1 is the last element; a slice ends before stop and is cut
// to the length of the list. Besides the errors named below, every method returns ErrNoSuchTable,
// ErrWrongTableKind if the table is a dict, and the errors of the connection.
type List[T any] struct {
	client *Client
	table  *tableName
}

// ListOf returns a handle of the list named table.
func ListOf[T any](c *Client, table string) *List[T] { return &List[T]{c, nameTable(table)} }

// None means that an index of a slice is omitted, as in Python's l[:5] or l[::2], or that Configure
// removes an option.
const None = math.MinInt

// Name returns the table's name.
func (l *List[T]) Name() string { return l.table.text }

// ListPipe adds requests for a list to a pipeline. Its methods are those of List, with the result
// in a Future.
type ListPipe[T any] struct {
	list     *List[T]
	pipeline *Pipeline
}

// With returns a handle that adds requests for l to p.
func (l *List[T]) With(p *Pipeline) ListPipe[T] { return ListPipe[T]{l, p} }

// Create creates the table with the given elements. Errors: ErrTableExists.
func (l *List[T]) Create(ctx context.Context, items ...T) error {
	_, err := request(ctx, l.create(false, items), decodeOne[bool])
	return err
}

// Ensure creates the table with the given elements unless it exists; made reports whether it did.
// An existing table is not changed.
func (l *List[T]) Ensure(ctx context.Context, items ...T) (made bool, err error) {
	return request(ctx, l.create(true, items), decodeOne[bool])
}

func (l *List[T]) create(existOK bool, items []T) *call {
	q := l.client.write(codec.OpCreateList, l.table)
	add(q, existOK)
	return addAll(q, items)
}

// Drop removes the table and its contents.
func (l *List[T]) Drop(ctx context.Context) error {
	return perform(ctx, l.client.write(codec.OpDrop, l.table))
}

// Append adds v at the end.
func (l *List[T]) Append(ctx context.Context, v T) error {
	return perform(ctx, l.push(codec.OpListAppend, v))
}

// Append is List.Append.
func (p ListPipe[T]) Append(v T) *Future[struct{}] {
	return queue(p.pipeline, p.list.push(codec.OpListAppend, v), decodeNothing)
}

// AppendLeft adds v at the front.
func (l *List[T]) AppendLeft(ctx context.Context, v T) error {
	return perform(ctx, l.push(codec.OpListAppendLeft, v))
}

// AppendLeft is List.AppendLeft.
func (p ListPipe[T]) AppendLeft(v T) *Future[struct{}] {
	return queue(p.pipeline, p.list.push(codec.OpListAppendLeft, v), decodeNothing)
}

func (l *List[T]) push(op codec.Opcode, v T) *call {
	q := l.client.write(op, l.table)
	add(q, v)
	return q
}

// Extend adds items at the end.
func (l *List[T]) Extend(ctx context.Context, items ...T) error { return perform(ctx, l.extend(items)) }

func (l *List[T]) extend(items []T) *call {
	return addAll(l.client.write(codec.OpListExtend, l.table), items)
}

// Extend is List.Extend.
func (p ListPipe[T]) Extend(items ...T) *Future[struct{}] {
	return queue(p.pipeline, p.list.extend(items), decodeNothing)
}

// Insert inserts v before the element at i. An index beyond an end inserts at that end.
func (l *List[T]) Insert(ctx context.Context, i int, v T) error {
	return perform(ctx, l.at(codec.OpListInsert, i, v))
}

// Insert is List.Insert.
func (p ListPipe[T]) Insert(i int, v T) *Future[struct{}] {
	return queue(p.pipeline, p.list.at(codec.OpListInsert, i, v), decodeNothing)
}

// Set replaces the element at i. Errors: ErrIndex.
func (l *List[T]) Set(ctx context.Context, i int, v T) error {
	return perform(ctx, l.at(codec.OpListSet, i, v))
}

// Set is List.Set.
func (p ListPipe[T]) Set(i int, v T) *Future[struct{}] {
	return queue(p.pipeline, p.list.at(codec.OpListSet, i, v), decodeNothing)
}

func (l *List[T]) at(op codec.Opcode, i int, v T) *call {
	q := l.client.write(op, l.table)
	add(q, i)
	add(q, v)
	return q
}

// Get returns the element at i. Errors: ErrIndex.
func (l *List[T]) Get(ctx context.Context, i int) (T, error) {
	return request(ctx, l.get(i), decodeOne[T])
}

func (l *List[T]) get(i int) *call {
	q := l.client.read(codec.OpListGet, l.table)
	add(q, i)
	return q
}

// Get is List.Get.
func (p ListPipe[T]) Get(i int) *Future[T] { return queue(p.pipeline, p.list.get(i), decodeOne[T]) }

// Delete removes the element at i. Errors: ErrIndex.
func (l *List[T]) Delete(ctx context.Context, i int) error { return perform(ctx, l.delete(i)) }

func (l *List[T]) delete(i int) *call {
	q := l.client.write(codec.OpListDelete, l.table)
	add(q, i)
	return q
}

// Delete is List.Delete.
func (p ListPipe[T]) Delete(i int) *Future[struct{}] {
	return queue(p.pipeline, p.list.delete(i), decodeNothing)
}

// Pop removes the last element and returns it. One that is not a T is removed too, and lost:
// PopWait puts it back. Errors: ErrIndex if the list is empty.
func (l *List[T]) Pop(ctx context.Context) (T, error) { return request(ctx, l.pop(), decodeOne[T]) }

func (l *List[T]) pop() *call { return l.client.write(codec.OpListPop, l.table) }

// Pop is List.Pop.
func (p ListPipe[T]) Pop() *Future[T] { return queue(p.pipeline, p.list.pop(), decodeOne[T]) }

// PopAt removes the element at i and returns it, as Pop does the last one. Errors: ErrIndex.
func (l *List[T]) PopAt(ctx context.Context, i int) (T, error) {
	q := l.pop()
	add(q, i)
	return request(ctx, q, decodeOne[T])
}

// PopLeft removes the first element and returns it. One that is not a T is removed too, and lost:
// PopLeftWait puts it back. Errors: ErrIndex if the list is empty.
func (l *List[T]) PopLeft(ctx context.Context) (T, error) {
	return request(ctx, l.popLeft(), decodeOne[T])
}

func (l *List[T]) popLeft() *call { return l.client.write(codec.OpListPopLeft, l.table) }

// PopLeft is List.PopLeft.
func (p ListPipe[T]) PopLeft() *Future[T] { return queue(p.pipeline, p.list.popLeft(), decodeOne[T]) }

// Len returns the number of elements.
func (l *List[T]) Len(ctx context.Context) (int, error) {
	return request(ctx, l.len(), decodeOne[int])
}

func (l *List[T]) len() *call { return l.client.read(codec.OpListLen, l.table) }

// Len is List.Len.
func (p ListPipe[T]) Len() *Future[int] { return queue(p.pipeline, p.list.len(), decodeOne[int]) }

// Clear removes all elements.
func (l *List[T]) Clear(ctx context.Context) error { return perform(ctx, l.clear()) }

func (l *List[T]) clear() *call { return l.client.write(codec.OpListClear, l.table) }

// Clear is List.Clear.
func (p ListPipe[T]) Clear() *Future[struct{}] {
	return queue(p.pipeline, p.list.clear(), decodeNothing)
}

// Values returns all elements in order, as of one moment.
func (l *List[T]) Values(ctx context.Context) ([]T, error) {
	return request(ctx, l.client.read(codec.OpListAll, l.table), decodeMany[T])
}

// All ranges over all elements with their indexes, as of the moment of the request, while they
// arrive. See Dict.All for failed, and for loops that end early or are too slow.
func (l *List[T]) All(ctx context.Context) (elements iter.Seq2[int, T], failed func() error) {
	var err error
	return func(yield func(int, T) bool) {
		var r *longRead
		if r, err = openRead(ctx, l.client.read(codec.OpListAll, l.table)); err != nil {
			return
		}
		defer r.close()
		for i := 0; ; i++ {
			var v T
			var ok bool
			if ok, err = nextOf(r, &v); err != nil || !ok || !yield(i, v) {
				return
			}
		}
	}, func() error { return err }
}
