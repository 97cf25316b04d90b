package client

import (
	"iter"

	"cyberdb-fast/codec"
)

// DictPipe puts requests for a dict into a pipeline. Each method is that of Dict with its result in
// a Future.
type DictPipe[K, V any] struct {
	dict     *Dict[K, V]
	pipeline *Pipeline
}

// With returns d for use in p.
func (d *Dict[K, V]) With(p *Pipeline) DictPipe[K, V] { return DictPipe[K, V]{d, p} }

// Get is Dict.Get.
func (p DictPipe[K, V]) Get(k K) *Future[V] { return queue(p.pipeline, p.dict.get(k), decodeOne[V]) }

// Lookup is Dict.Lookup.
func (p DictPipe[K, V]) Lookup(k K) *Future[Entry[V]] {
	return queue(p.pipeline, p.dict.lookup(k), decodeEntry[V])
}

// GetMany is Dict.GetMany.
func (p DictPipe[K, V]) GetMany(keys ...K) *Future[[]Entry[V]] {
	return queue(p.pipeline, p.dict.getMany(keys), decodeEntries[V])
}

// Contains is Dict.Contains.
func (p DictPipe[K, V]) Contains(k K) *Future[bool] {
	return queue(p.pipeline, p.dict.contains(k), decodeOne[bool])
}

// Len is Dict.Len.
func (p DictPipe[K, V]) Len() *Future[int] { return queue(p.pipeline, p.dict.len(), decodeOne[int]) }

// Set is Dict.Set.
func (p DictPipe[K, V]) Set(k K, v V) *Future[struct{}] {
	return queue(p.pipeline, p.dict.set(k, v), decodeNothing)
}

// SetDefault is Dict.SetDefault.
func (p DictPipe[K, V]) SetDefault(k K, v V) *Future[V] {
	return queue(p.pipeline, p.dict.setDefault(k, v), decodeOne[V])
}

// Update is Dict.Update.
func (p DictPipe[K, V]) Update(items iter.Seq2[K, V]) *Future[struct{}] {
	return queue(p.pipeline, p.dict.update(items), decodeNothing)
}

// Delete is Dict.Delete.
func (p DictPipe[K, V]) Delete(k K) *Future[struct{}] {
	return queue(p.pipeline, p.dict.delete(k), decodeNothing)
}

// Pop is Dict.Pop.
func (p DictPipe[K, V]) Pop(k K) *Future[V] { return queue(p.pipeline, p.dict.pop(k), decodeOne[V]) }

// PopItem is Dict.PopItem.
func (p DictPipe[K, V]) PopItem() *Future[Item[K, V]] {
	return queue(p.pipeline, p.dict.popItem(), decodeItem[K, V])
}

// Clear is Dict.Clear.
func (p DictPipe[K, V]) Clear() *Future[struct{}] {
	return queue(p.pipeline, p.dict.clear(), decodeNothing)
}

// Increment is Dict.Increment.
func (p DictPipe[K, V]) Increment(k K, by V) *Future[V] {
	return queue(p.pipeline, p.dict.increment(k, by), decodeOne[V])
}

// CompareAndSet is Dict.CompareAndSet.
func (p DictPipe[K, V]) CompareAndSet(k K, old, new V) *Future[bool] {
	return queue(p.pipeline, p.dict.compareAndSet(k, &old, &new), decodeOne[bool])
}

// SetIfAbsent is Dict.SetIfAbsent.
func (p DictPipe[K, V]) SetIfAbsent(k K, v V) *Future[bool] {
	return queue(p.pipeline, p.dict.compareAndSet(k, nil, &v), decodeOne[bool])
}

// ListPipe puts requests for a list into a pipeline. Each method is that of List with its result in
// a Future.
type ListPipe[T any] struct {
	list     *List[T]
	pipeline *Pipeline
}

// With returns l for use in p.
func (l *List[T]) With(p *Pipeline) ListPipe[T] { return ListPipe[T]{l, p} }

// Append is List.Append.
func (p ListPipe[T]) Append(v T) *Future[struct{}] {
	return queue(p.pipeline, p.list.push(codec.OpListAppend, v), decodeNothing)
}

// AppendLeft is List.AppendLeft.
func (p ListPipe[T]) AppendLeft(v T) *Future[struct{}] {
	return queue(p.pipeline, p.list.push(codec.OpListAppendLeft, v), decodeNothing)
}

// Extend is List.Extend.
func (p ListPipe[T]) Extend(items ...T) *Future[struct{}] {
	return queue(p.pipeline, p.list.extend(items), decodeNothing)
}

// Insert is List.Insert.
func (p ListPipe[T]) Insert(i int, v T) *Future[struct{}] {
	return queue(p.pipeline, p.list.at(codec.OpListInsert, i, v), decodeNothing)
}

// Get is List.Get.
func (p ListPipe[T]) Get(i int) *Future[T] { return queue(p.pipeline, p.list.get(i), decodeOne[T]) }

// Set is List.Set.
func (p ListPipe[T]) Set(i int, v T) *Future[struct{}] {
	return queue(p.pipeline, p.list.at(codec.OpListSet, i, v), decodeNothing)
}

// Delete is List.Delete.
func (p ListPipe[T]) Delete(i int) *Future[struct{}] {
	return queue(p.pipeline, p.list.delete(i), decodeNothing)
}

// Slice is List.Slice.
func (p ListPipe[T]) Slice(start, stop, step int) *Future[[]T] {
	return queue(p.pipeline, p.list.slice(start, stop, step), decodeMany[T])
}

// Pop is List.Pop.
func (p ListPipe[T]) Pop() *Future[T] { return queue(p.pipeline, p.list.pop(), decodeOne[T]) }

// PopLeft is List.PopLeft.
func (p ListPipe[T]) PopLeft() *Future[T] { return queue(p.pipeline, p.list.popLeft(), decodeOne[T]) }

// Len is List.Len.
func (p ListPipe[T]) Len() *Future[int] { return queue(p.pipeline, p.list.len(), decodeOne[int]) }

// Sort is List.Sort.
func (p ListPipe[T]) Sort(key SortKey, direction Direction) *Future[struct{}] {
	return queue(p.pipeline, p.list.sort(key, direction), decodeNothing)
}

// Clear is List.Clear.
func (p ListPipe[T]) Clear() *Future[struct{}] {
	return queue(p.pipeline, p.list.clear(), decodeNothing)
}
