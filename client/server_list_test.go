package client_test

import (
	"errors"
	"maps"
	"reflect"
	"testing"

	"cyberdb-fast/client"
)

func TestList(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	l := client.ListOf[int](c, "l")
	all := func(step string, want ...int) {
		t.Helper()
		got, err := l.Values(ctx)
		s.expect(step, append([]int(nil), want...), got, err)
	}
	s.expect("create", nil, l.Create(ctx, 1, 2))
	s.expect("append", nil, l.Append(ctx, 3))
	s.expect("append left", nil, l.AppendLeft(ctx, 0))
	s.expect("extend", nil, l.Extend(ctx, 4, 5, 6))
	s.expect("insert", nil, l.Insert(ctx, -1, 55))
	all("so far", 0, 1, 2, 3, 4, 5, 55, 6)
	v, err := l.Get(ctx, -2)
	s.expect("get", 55, v, err)
	_, err = l.Get(ctx, 8)
	s.expect("get beyond", client.ErrIndex, err)
	s.expect("set", nil, l.Set(ctx, 0, 100))
	s.expect("set beyond", client.ErrIndex, l.Set(ctx, 8, 1))
	s.expect("delete", nil, l.Delete(ctx, 6))
	s.expect("delete beyond", client.ErrIndex, l.Delete(ctx, -8))
	all("after set and delete", 100, 1, 2, 3, 4, 5, 6)
	part, err := l.Slice(ctx, 1, 4, client.None)
	s.expect("slice", []int{1, 2, 3}, part, err)
	part, err = l.Slice(ctx, client.None, client.None, -2)
	s.expect("slice backwards", []int{6, 4, 2, 100}, part, err)
	_, err = l.Slice(ctx, 0, 1, 0)
	s.expect("slice of step 0", client.ErrValue, err)
	s.expect("set slice", nil, l.SetSlice(ctx, 0, 2, client.None, 7, 8, 9))
	all("after set slice", 7, 8, 9, 2, 3, 4, 5, 6)
	s.expect("set slice of other size", client.ErrValue, l.SetSlice(ctx, client.None, client.None, 2, 1))
	s.expect("delete slice", nil, l.DeleteSlice(ctx, 0, 3, client.None))
	v, err = l.Pop(ctx)
	s.expect("pop", 6, v, err)
	v, err = l.PopAt(ctx, 1)
	s.expect("pop at", 3, v, err)
	v, err = l.PopLeft(ctx)
	s.expect("pop left", 2, v, err)
	_, err = l.PopAt(ctx, 5)
	s.expect("pop beyond", client.ErrIndex, err)
	s.expect("extend", nil, l.Extend(ctx, 4, 4))
	all("four, five, four, four", 4, 5, 4, 4)
	n, err := l.Count(ctx, 4)
	s.expect("count", 3, n, err)
	n, err = l.Index(ctx, 5)
	s.expect("index", 1, n, err)
	_, err = l.Index(ctx, 6)
	s.expect("index of none", client.ErrValue, err)
	n, err = l.IndexIn(ctx, 4, 1, client.None)
	s.expect("index from 1", 2, n, err)
	n, err = l.IndexIn(ctx, 4, client.None, 1)
	s.expect("index before 1", 0, n, err)
	_, err = l.IndexIn(ctx, 4, 1, 2)
	s.expect("index in part", client.ErrValue, err)
	ok, err := l.Contains(ctx, 5)
	s.expect("contains", true, ok, err)
	s.expect("remove", nil, l.Remove(ctx, 4))
	s.expect("remove none", client.ErrValue, l.Remove(ctx, 44))
	s.expect("reverse", nil, l.Reverse(ctx))
	all("reversed", 4, 4, 5)
	s.expect("sort", nil, l.Sort(ctx, client.Itself.Neg(), client.Ascending))
	all("sorted by -x", 5, 4, 4)
	s.expect("sort by an item", client.ErrType, l.Sort(ctx, client.By(0), client.Ascending))
	n, err = l.Len(ctx)
	s.expect("len", 3, n, err)
	s.expect("clear", nil, l.Clear(ctx))
	_, err = l.Pop(ctx)
	s.expect("pop of none", client.ErrIndex, err)
	all("cleared")
	s.expect("drop", nil, l.Drop(ctx))
}

func TestPipelineOfAllKinds(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d, l := client.DictOf[string, int](c, "d"), client.ListOf[string](c, "l")
	s.expect("create", nil, errors.Join(d.Create(ctx), l.Create(ctx)))
	p := c.Pipeline()
	dp, lp := d.With(p), l.With(p)
	var steps []func()
	check := func(name string, want any, f interface{ Err() error }, result func() any) {
		steps = append(steps, func() { s.expect(name, want, result(), f.Err()) })
	}
	future := func(name string, want any, f any) {
		v := reflect.ValueOf(f)
		check(
			name,
			want,
			f.(interface{ Err() error }),
			func() any { return v.MethodByName("Value").Call(nil)[0].Interface() },
		)
	}
	future("set", struct{}{}, dp.Set("a", 1))
	future("set default", 1, dp.SetDefault("a", 5))
	future("increment", 3, dp.Increment("a", 2))
	future("compare and set", true, dp.CompareAndSet("a", 3, 4))
	future("set if absent", false, dp.SetIfAbsent("a", 9))
	future("update", struct{}{}, dp.Update(maps.All(map[string]int{"b": 2})))
	future("get", 4, dp.Get("a"))
	future("lookup", client.Entry[int]{}, dp.Lookup("x"))
	future("get many", []client.Entry[int]{{4, true}, {}}, dp.GetMany("a", "x"))
	future("contains", true, dp.Contains("b"))
	future("len", 2, dp.Len())
	future("set", struct{}{}, dp.Set("d", 3))
	future("delete many", []bool{true, false}, dp.DeleteMany("d", "x"))
	future("pop", 4, dp.Pop("a"))
	future("pop item", client.Item[string, int]{Key: "b", Value: 2}, dp.PopItem())
	future("set", struct{}{}, dp.Set("c", 1))
	future("delete", struct{}{}, dp.Delete("c"))
	future("clear", struct{}{}, dp.Clear())
	future("append", struct{}{}, lp.Append("b"))
	future("append left", struct{}{}, lp.AppendLeft("a"))
	future("extend", struct{}{}, lp.Extend("d", "e"))
	future("insert", struct{}{}, lp.Insert(2, "c"))
	future("set", struct{}{}, lp.Set(-1, "E"))
	future("get", "a", lp.Get(0))
	future("slice", []string{"a", "b", "c", "d", "E"}, lp.Slice(client.None, client.None, client.None))
	future("sort", struct{}{}, lp.Sort(client.Itself, client.Descending))
	future("pop", "E", lp.Pop())
	future("pop left", "d", lp.PopLeft())
	future("delete", struct{}{}, lp.Delete(0))
	future("len", 2, lp.Len())
	future("clear", struct{}{}, lp.Clear())
	s.expect("do", nil, p.Do(ctx))
	for _, step := range steps {
		step()
	}
	s.expect("an empty pipeline", nil, p.Do(ctx))
}
