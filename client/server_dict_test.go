package client_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/client"
)

func TestDict(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d := client.DictOf[string, int](c, "d")
	_, err := d.Get(ctx, "a")
	s.expect("no table", client.ErrNoSuchTable, err)
	s.expect("create", nil, d.CreateFrom(ctx, maps.All(map[string]int{"a": 1})))
	s.expect("set", nil, d.Set(ctx, "b", 2))
	v, err := d.Get(ctx, "b")
	s.expect("get", 2, v, err)
	_, err = d.Get(ctx, "x")
	s.expect("get absent", client.ErrKey, err)
	v, err = d.GetOr(ctx, "x", 9)
	s.expect("get or", 9, v, err)
	v, ok, err := d.Lookup(ctx, "a")
	s.expect("lookup", "1 true", v, ok, err)
	v, ok, err = d.Lookup(ctx, "x")
	s.expect("lookup absent", "0 false", v, ok, err)
	many, err := d.GetMany(ctx, "b", "x", "a")
	s.expect("get many", []client.Entry[int]{{2, true}, {}, {1, true}}, many, err)
	many, err = d.GetMany(ctx)
	s.expect("get none", 0, len(many), err)
	s.expect("set", nil, d.Set(ctx, "y", 3))
	were, err := d.DeleteMany(ctx, "y", "x", "y")
	s.expect("delete many", []bool{true, false, false}, were, err)
	were, err = d.DeleteMany(ctx)
	s.expect("delete none", 0, len(were), err)
	ok, err = d.Contains(ctx, "a")
	s.expect("contains", true, ok, err)
	n, err := d.Len(ctx)
	s.expect("len", 2, n, err)
	v, err = d.SetDefault(ctx, "a", 7)
	s.expect("set default", 1, v, err)
	v, err = d.SetDefault(ctx, "c", 7)
	s.expect("set default, absent", 7, v, err)
	s.expect("update", nil, d.Update(ctx, maps.All(map[string]int{"c": 3})))
	v, err = d.Increment(ctx, "c", 39)
	s.expect("increment", 42, v, err)
	v, err = d.Increment(ctx, "hits", 1)
	s.expect("increment absent", 1, v, err)
	s.expect("delete", nil, d.Delete(ctx, "hits"))
	s.expect("delete absent", client.ErrKey, d.Delete(ctx, "hits"))
	keys, err := d.Keys(ctx)
	s.expect("keys", []string{"a", "b", "c"}, keys, err)
	values, err := d.Values(ctx)
	s.expect("values", []int{1, 2, 42}, values, err)
	items, err := d.Items(ctx)
	s.expect("items", []client.Item[string, int]{{"a", 1}, {"b", 2}, {"c", 42}}, items, err)
	v, err = d.Pop(ctx, "a")
	s.expect("pop", 1, v, err)
	_, err = d.Pop(ctx, "a")
	s.expect("pop absent", client.ErrKey, err)
	v, err = d.PopOr(ctx, "a", 5)
	s.expect("pop or", 5, v, err)
	item, err := d.PopItem(ctx)
	s.expect("pop item", client.Item[string, int]{Key: "c", Value: 42}, item, err)
	s.expect("clear", nil, d.Clear(ctx))
	_, err = d.PopItem(ctx)
	s.expect("pop item of none", client.ErrKey, err)
	s.expect("drop", nil, d.Drop(ctx))
}

func TestDictConditions(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d := client.DictOf[string, string](c, "d")
	s.expect("create", nil, d.Create(ctx))
	done, err := d.SetIfAbsent(ctx, "k", "1")
	s.expect("set if absent", true, done, err)
	done, err = d.SetIfAbsent(ctx, "k", "2")
	s.expect("set if absent, present", false, done, err)
	done, err = d.CompareAndSet(ctx, "k", "1", "2")
	s.expect("compare and set", true, done, err)
	done, err = d.CompareAndSet(ctx, "k", "1", "3")
	s.expect("compare and set, other", false, done, err)
	done, err = d.DeleteIfEqual(ctx, "k", "1")
	s.expect("delete if equal, other", false, done, err)
	done, err = d.DeleteIfEqual(ctx, "k", "2")
	s.expect("delete if equal", true, done, err)

	v1, err := d.SetVersioned(ctx, "k", "1")
	s.expect("set versioned", true, v1 != client.Absent, err)
	text, v, err := d.GetVersioned(ctx, "k")
	s.expect("get versioned", fmt.Sprint("1 ", v1), text, v, err)
	v2, err := d.SetIf(ctx, "k", "2", v1)
	s.expect("set if", true, v2 > v1, err)
	_, err = d.SetIf(ctx, "k", "3", v1)
	s.expect("set if, old", client.ErrVersionMismatch, err)
	_, err = d.SetIf(ctx, "k", "3", client.Absent)
	s.expect("set if absent, present", client.ErrVersionMismatch, err)
	s.expect("delete if, old", client.ErrVersionMismatch, d.DeleteIf(ctx, "k", v1))
	_, err = d.PopIf(ctx, "k", v1)
	s.expect("pop if, old", client.ErrVersionMismatch, err)
	text, err = d.PopIf(ctx, "k", v2)
	s.expect("pop if", "2", text, err)
	v3, err := d.SetIf(ctx, "k", "3", client.Absent)
	s.expect("set if absent", true, v3 > v2, err)
	v4, err := d.SetIf(ctx, "k", "4", client.Present)
	s.expect("set if present", true, v4 > v3, err)
	s.expect("delete if present", nil, d.DeleteIf(ctx, "k", client.Present))
	s.expect("delete if present, absent", client.ErrVersionMismatch, d.DeleteIf(ctx, "k", client.Present))
	_, err = d.SetIf(ctx, "k", "5", client.Present)
	s.expect("set if present, absent", client.ErrVersionMismatch, err)
	_, err = d.PopIf(ctx, "k", client.Present)
	s.expect("pop if present, absent", client.ErrVersionMismatch, err)
	_, err = d.ExpireIf(ctx, "k", time.Hour, client.Present)
	s.expect("expire if present, absent", client.ErrVersionMismatch, err)
	_, err = d.Increment(ctx, "k", "text")
	s.expect("increment by text", client.ErrType, err)
}

func TestIncrementIf(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d := client.DictOf[string, int](c, "d")
	s.expect("create", nil, d.Create(ctx, client.Item[string, int]{Key: "k", Value: 1}))
	n, err := d.IncrementIf(ctx, "k", 2, client.Present)
	s.expect("increment if present", 3, n, err)
	_, err = d.IncrementIf(ctx, "x", 2, client.Present)
	s.expect("increment if present, absent", client.ErrVersionMismatch, err)
	_, version, err := d.GetVersioned(ctx, "k")
	s.expect("get versioned", nil, err)
	p := c.Pipeline()
	replaced := d.With(p).SetIf("k", 5, client.Present)
	old := d.With(p).IncrementIf("k", 1, version)
	added := d.With(p).IncrementIf("k", 1, client.Present)
	_ = p.Do(ctx)
	v, err := replaced.Result()
	s.expect("set if present, in a pipeline", true, v > version, err)
	s.expect("increment if, old, in a pipeline", client.ErrVersionMismatch, old.Err())
	n, err = added.Result()
	s.expect("increment if present, in a pipeline", 6, n, err)
	n, err = d.Len(ctx)
	s.expect("len", 1, n, err)
}

func TestModifyLosesNothing(t *testing.T) {
	c, ctx := startServer(t).Client(t, nil), t.Context()
	d := client.DictOf[string, []int](c, "d")
	if err := d.Create(ctx); err != nil {
		t.Fatal(err)
	}
	const goroutines, each = 20, 10
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				if _, err := d.Modify(
					ctx,
					"k",
					func(v []int, _ bool) ([]int, error) { return append(v, g*each+i), nil },
				); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	all, err := d.Get(ctx, "k")
	for _, n := range all {
		seen[n] = true
	}
	if err != nil || len(all) != goroutines*each || len(seen) != len(all) {
		t.Errorf("%d numbers, %d different, %v", len(all), len(seen), err)
	}
	refused := errors.New("refused")
	if _, err := d.Modify(
		ctx,
		"k",
		func([]int, bool) ([]int, error) { return nil, refused },
	); !errors.Is(
		err,
		refused,
	) {
		t.Errorf("got %v", err)
	}
}

func TestLargeTableIsReadWhileItChanges(t *testing.T) {
	c, ctx := startServer(t).Client(t, nil), t.Context()
	d := client.DictOf[int, string](c, "d")
	if err := d.Create(ctx); err != nil {
		t.Fatal(err)
	}
	const n = 50_000
	if err := d.Update(ctx, func(yield func(int, string) bool) {
		for i := range n {
			if !yield(i, fmt.Sprintf("the value that belongs to key %d", i)) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(context.Context) (func(func(int, string) bool), func() error){
		"All":  func(ctx context.Context) (func(func(int, string) bool), func() error) { return d.All(ctx) },
		"Scan": func(ctx context.Context) (func(func(int, string) bool), func() error) { return d.Scan(ctx) },
	} {
		items, failed := read(ctx)
		next := 0
		for k, v := range items {
			if k != next || !strings.HasSuffix(v, fmt.Sprint(" ", k)) {
				t.Fatalf("%s: got %d: %q where %d was due", name, k, v, next)
			}
			if next++; next == n/2 { // new keys at the end: All must not show them
				if err := d.Set(ctx, n, fmt.Sprint("late ", n)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := failed(); err != nil || name == "All" && next != n || name == "Scan" && next != n+1 {
			t.Errorf("%s: %d items, %v", name, next, err)
		}
		if err := d.Delete(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
}
