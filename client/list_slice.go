package client

import (
	"context"

	"cyberdb-fast/codec"
)

// Slice returns the elements of [start:stop:step]; each of the three may be None. Errors: ErrValue
// if step is 0.
func (l *List[T]) Slice(ctx context.Context, start, stop, step int) ([]T, error) {
	return request(ctx, l.slice(start, stop, step), decodeMany[T])
}

func (l *List[T]) slice(start, stop, step int) *call {
	return addSlice(l.client.read(codec.OpListSlice, l.table), start, stop, step)
}

// Slice is List.Slice.
func (p ListPipe[T]) Slice(start, stop, step int) *Future[[]T] {
	return queue(p.pipeline, p.list.slice(start, stop, step), decodeMany[T])
}

// SetSlice replaces the elements of [start:stop:step] by items. If step is 1 or None, the number of
// items may differ, which changes the length of the list. Errors: ErrValue if step is 0, or if step
// is another number and the number of items differs.
func (l *List[T]) SetSlice(ctx context.Context, start, stop, step int, items ...T) error {
	q := addSlice(l.client.write(codec.OpListSetSlice, l.table), start, stop, step)
	return perform(ctx, addAll(q, items))
}

// DeleteSlice removes the elements of [start:stop:step]. Errors: ErrValue if step is 0.
func (l *List[T]) DeleteSlice(ctx context.Context, start, stop, step int) error {
	return perform(ctx, addSlice(l.client.write(codec.OpListDeleteSlice, l.table), start, stop, step))
}

func addSlice(q *call, start, stop, step int) *call {
	q.addIndex(start)
	q.addIndex(stop)
	q.addIndex(step)
	return q
}

// Remove removes the first element that equals v as Python compares. Errors: ErrValue if no element
// does.
func (l *List[T]) Remove(ctx context.Context, v T) error {
	return perform(ctx, l.push(codec.OpListRemove, v))
}

// Count returns the number of elements that equal v.
func (l *List[T]) Count(ctx context.Context, v T) (int, error) {
	return request(ctx, l.find(codec.OpListCount, v), decodeOne[int])
}

// Contains reports whether an element equals v.
func (l *List[T]) Contains(ctx context.Context, v T) (bool, error) {
	return request(ctx, l.find(codec.OpListContains, v), decodeOne[bool])
}

// Index returns the index of the first element that equals v. Errors: ErrValue if no element does.
func (l *List[T]) Index(ctx context.Context, v T) (int, error) {
	return request(ctx, l.find(codec.OpListIndex, v), decodeOne[int])
}

// IndexIn is Index within [start:stop]; both may be None.
func (l *List[T]) IndexIn(ctx context.Context, v T, start, stop int) (int, error) {
	q := l.find(codec.OpListIndex, v)
	switch {
	case start == None && stop == None:
	case start == None:
		add(q, 0)
	default:
		add(q, start)
	}
	if stop != None {
		add(q, stop)
	}
	return request(ctx, q, decodeOne[int])
}

func (l *List[T]) find(op codec.Opcode, v T) *call {
	q := l.client.read(op, l.table)
	add(q, v)
	return q
}

// Reverse reverses the list.
func (l *List[T]) Reverse(ctx context.Context) error { return perform(ctx, l.reverse()) }

func (l *List[T]) reverse() *call { return l.client.write(codec.OpListReverse, l.table) }

// Sort sorts the list by key; the sort is stable. Errors: ErrType if two elements cannot be
// compared; ErrKey, ErrIndex, ErrType or ErrAttribute if key fails for an element. On an error the
// list is unchanged.
func (l *List[T]) Sort(ctx context.Context, key SortKey, direction Direction) error {
	return perform(ctx, l.sort(key, direction))
}

func (l *List[T]) sort(key SortKey, direction Direction) *call {
	q := l.client.write(codec.OpListSort, l.table)
	add(q, key.form)
	add(q, bool(direction))
	return q
}

// Sort is List.Sort.
func (p ListPipe[T]) Sort(key SortKey, direction Direction) *Future[struct{}] {
	return queue(p.pipeline, p.list.sort(key, direction), decodeNothing)
}
