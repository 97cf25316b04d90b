package eval

import (
	"context"
	"errors"
	"math"
	"math/big"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// index evaluates a[b]: an item of a table or of a value.
func (e *evaluation) index(n syntax.Index) (object, error) {
	o, err := e.evaluate(n.Of)
	if err != nil {
		return nil, err
	}
	switch of := o.(type) {
	case *table:
		if of.kind == client.KindList {
			i, err := e.listIndex(n.Index)
			if err != nil {
				return nil, err
			}
			return of.list().Get(e.ctx, i)
		}
		key, err := e.value(n.Index)
		if err != nil {
			return nil, err
		}
		return of.dict().Get(e.ctx, key)
	case govalue.Encoded:
		key, err := e.value(n.Index)
		if err != nil {
			return nil, err
		}
		return apply(of, []any{"path", key})
	}
	return nil, e.errorAt(n, "TypeError", "this has no items: only tables and values have")
}

// apply computes what a sort key gives for a value: an item, the length.
func apply(of govalue.Encoded, form []any) (govalue.Encoded, error) {
	b, err := govalue.Marshal(form)
	if err != nil {
		return nil, err
	}
	key, err := value.ParseSortKey(b)
	if err != nil {
		return nil, err
	}
	return key.Append(nil, of, func(int, int) error { return nil })
}

// slice evaluates a[b:c:d].
func (e *evaluation) slice(n syntax.Slice) (object, error) {
	o, err := e.evaluate(n.Of)
	if err != nil {
		return nil, err
	}
	return e.sliceOf(o, n)
}

func (e *evaluation) sliceOf(o object, n syntax.Slice) (object, error) {
	switch of := o.(type) {
	case *table:
		start, stop, step, err := e.bounds(of, n)
		if err != nil {
			return nil, err
		}
		vals, err := of.list().Slice(e.ctx, start, stop, step)
		if err != nil {
			return nil, err
		}
		return listOf(vals), nil
	case govalue.Encoded:
		return e.sliceValue(of, n)
	}
	return nil, e.errorAt(n, "TypeError", "this has no slices: only lists have")
}

// longSlice returns a slice of a list that is printed: a *Sequence if it is long.
func (e *evaluation) longSlice(n syntax.Slice) (object, error) {
	o, err := e.evaluate(n.Of)
	if err != nil {
		return nil, err
	}
	t, ok := o.(*table)
	if !ok || t.kind == client.KindDict {
		return e.sliceOf(o, n)
	}
	start, stop, step, err := e.parts(n)
	if err != nil {
		return nil, err
	}
	length, err := t.list().Len(e.ctx)
	if err != nil {
		return nil, err
	}
	first, step, count, err := indices(length, start, stop, step)
	if err != nil {
		return nil, err
	}
	if count <= lastPage {
		vals, err := t.list().Slice(e.ctx, start, stop, step)
		return listOf(vals), err
	}
	return &Sequence{Elements, func(ctx context.Context, yield func(_, val govalue.Encoded) bool) error {
		return t.scan(ctx, first, step, count, yield)
	}}, nil
}

// sliceValue slices a list or a tuple that is a value.
func (e *evaluation) sliceValue(of govalue.Encoded, n syntax.Slice) (object, error) {
	start, stop, step, err := e.parts(n)
	if err != nil {
		return nil, err
	}
	kind := value.TypeName(of)
	if kind != "list" && kind != "tuple" {
		return nil, typeError("'%s' object has no slices in the shell", kind)
	}
	var items []govalue.Encoded
	if err := govalue.Unmarshal(of, &items); err != nil {
		return nil, err
	}
	picked, err := pick(items, start, stop, step)
	if err != nil {
		return nil, err
	}
	if kind == "tuple" {
		return tupleOf(picked...), nil
	}
	return listOf(picked), nil
}

// listOf returns a list of values.
func listOf(vals []govalue.Encoded) govalue.Encoded {
	b := msgp.AppendArrayHeader(nil, uint32(len(vals)))
	for _, val := range vals {
		b = append(b, val...)
	}
	return b
}

// pick returns items[start:stop:step] as Python does.
func pick(items []govalue.Encoded, start, stop, step int) ([]govalue.Encoded, error) {
	first, step, count, err := indices(len(items), start, stop, step)
	if err != nil {
		return nil, err
	}
	picked := make([]govalue.Encoded, count)
	for i := range picked {
		picked[i] = items[first+i*step]
	}
	return picked, nil
}

// indices returns the first index of a slice of so many items, the step, and how many there are.
func indices(length, start, stop, step int) (first, by, count int, err error) {
	if step == client.None {
		step = 1
	}
	if step == 0 {
		return 0, 0, 0, valueError("slice step cannot be zero")
	}
	low, high := 0, length // of start and stop
	first, last := low, high
	if step < 0 {
		low, high = -1, length-1
		first, last = high, low
	}
	bound := func(given, otherwise int) int {
		switch {
		case given == client.None:
			return otherwise
		case given < 0:
			given += length
		}
		return max(low, min(given, high))
	}
	first, last = bound(start, first), bound(stop, last)
	switch {
	case step > 0 && first < last:
		count = (last-first-1)/step + 1
	case step < 0 && first > last:
		count = (last-first+1)/step + 1
	}
	return first, step, count, nil
}

// bounds returns the parts of a slice of a list of the server.
func (e *evaluation) bounds(t *table, n syntax.Slice) (start, stop, step int, err error) {
	if t.kind == client.KindDict {
		return 0, 0, 0, e.errorAt(n, "TypeError", "a dict has no slices: read it with .items(), .keys() or .values()")
	}
	return e.parts(n)
}

// parts returns the parts of a slice; one that is missing is client.None.
func (e *evaluation) parts(n syntax.Slice) (start, stop, step int, err error) {
	if start, err = e.part(n.Start); err == nil {
		stop, err = e.part(n.Stop)
	}
	if err == nil {
		step, err = e.part(n.Step)
	}
	return start, stop, step, err
}

func (e *evaluation) part(n syntax.Node) (int, error) {
	if n == nil {
		return client.None, nil
	}
	b, err := e.value(n)
	if err != nil {
		return 0, err
	}
	if msgp.IsNil(b) {
		return client.None, nil
	}
	i, fits, err := intOf(b)
	if err != nil {
		return 0, typeError("slice indices must be integers or None")
	}
	if !fits {
		return clamp(b), nil
	}
	return max(i, math.MinInt+1), nil
}

// clamp returns the number nearest to an int that is too large.
func clamp(b []byte) int {
	if negative, _ := value.BigIntSign(b); negative {
		return math.MinInt + 1
	}
	return math.MaxInt
}

// listIndex evaluates the index of an element.
func (e *evaluation) listIndex(n syntax.Node) (int, error) {
	b, err := e.value(n)
	if err != nil {
		return 0, err
	}
	i, fits, err := intOf(b)
	switch {
	case err != nil:
		return 0, typeError("list indices must be integers or slices, not %s", value.TypeName(b))
	case !fits:
		return 0, &Error{"IndexError", "cannot fit 'int' into an index-sized integer"}
	}
	return i, nil
}

var errNoInt = errors.New("not an int")

// intOf returns an int; fits is false if it is beyond 64 bits.
func intOf(b []byte) (i int, fits bool, err error) {
	v, _, err := govalue.Decode(b)
	if err != nil {
		return 0, false, err
	}
	switch v := v.(type) {
	case int64:
		return int(v), true, nil
	case bool:
		if v {
			return 1, true, nil
		}
		return 0, true, nil
	case uint64, *big.Int:
		return 0, false, nil
	}
	return 0, false, errNoInt
}

// elements evaluates an expression whose items are taken: a list, a tuple, a set, a table.
func (e *evaluation) elements(n syntax.Node) ([]govalue.Encoded, error) {
	b, err := e.value(n)
	if err != nil {
		return nil, err
	}
	return itemsOf(b)
}

func itemsOf(b govalue.Encoded) (items []govalue.Encoded, err error) {
	if err := govalue.Unmarshal(b, &items); err != nil || items == nil && msgp.IsNil(b) {
		return nil, typeError("'%s' object is not a list, tuple or set", value.TypeName(b))
	}
	return items, nil
}
