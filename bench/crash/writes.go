package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"cyberdb-fast/client"
)

// write is one request that changes something, and what it does to a model.
type write struct {
	apply func(model)
	queue func(*client.Client, *client.Pipeline) answer // nil: it is sent alone
	alone func(context.Context, *client.Client) error
}

// answer returns the error of a reply, or that the reply is wrong.
type answer func() error

// wrongAnswer is a reply that differs from what Python would return.
type wrongAnswer struct{ got, want any }

func (e *wrongAnswer) Error() string {
	return fmt.Sprintf("replied %.100v, not %.100v", e.got, e.want)
}

func answered[R comparable](f *client.Future[R], want R) answer {
	return func() error {
		got, err := f.Result()
		if err == nil && got != want {
			err = &wrongAnswer{got, want}
		}
		return err
	}
}

// The tables of one client, by the ends of their names.
const (
	dictName    = "dict"
	listName    = "list"
	passingName = "passing" // is created, renamed and dropped
	renamedName = "renamed"
)

const (
	mostEntries = 40 // of a table, about
	bigOneIn    = 400
	bigBytes    = 300 << 10 // more than the journal puts into one record
)

// author makes the writes of one client.
type author struct {
	rng    *rand.Rand
	prefix string // of its tables' names
	live   model  // as of its last write
	count  int    // of values made, ever
}

// value returns a string that no other write has.
func (a *author) value() string {
	a.count++
	pad := a.rng.IntN(60)
	if a.rng.IntN(bigOneIn) == 0 {
		pad = bigBytes
	}
	return fmt.Sprintf("%s%d %s", a.prefix, a.count, strings.Repeat("x", pad))
}

// next returns a write that succeeds on the current contents, and applies it to live.
func (a *author) next() *write {
	var w *write
	dict, list := a.live[a.prefix+dictName], a.live[a.prefix+listName]
	switch n := a.rng.IntN(20); {
	case dict == nil:
		w = a.create(dictName, false)
	case list == nil:
		w = a.create(listName, true)
	case n == 0:
		w = a.table()
	case n < 11:
		w = a.dict(a.prefix+dictName, dict)
	default:
		w = a.list(a.prefix+listName, list)
	}
	w.apply(a.live)
	return w
}

func (a *author) create(end string, isList bool) *write {
	name, val := a.prefix+end, a.value()
	if isList {
		return &write{
			apply: func(m model) { m[name] = &table{isList: true, elements: []string{val}} },
			alone: func(ctx context.Context, c *client.Client) error { return c.CreateList(ctx, name, val) },
		}
	}
	return &write{
		apply: func(m model) { m[name] = newDict(); m[name].set("first", val) },
		alone: func(ctx context.Context, c *client.Client) error {
			return c.CreateDict(ctx, name, client.Item[any, any]{Key: "first", Value: val})
		},
	}
}

// table creates, renames or drops a table.
func (a *author) table() *write {
	from, to := a.prefix+passingName, a.prefix+renamedName
	switch {
	case a.live[to] != nil:
		return &write{
			apply: func(m model) { delete(m, to) },
			alone: func(ctx context.Context, c *client.Client) error { return c.Drop(ctx, to) },
		}
	case a.live[from] != nil:
		return &write{
			apply: func(m model) { m[to] = m[from]; delete(m, from) },
			alone: func(ctx context.Context, c *client.Client) error { return c.Rename(ctx, from, to) },
		}
	}
	return a.create(passingName, a.rng.IntN(2) == 0)
}

// onDict returns a write of a dict for a pipeline.
func onDict(name string, apply func(*table), queue func(client.DictPipe[string, any]) answer) *write {
	return &write{
		apply: func(m model) { apply(m[name]) },
		queue: func(c *client.Client, p *client.Pipeline) answer {
			return queue(client.DictOf[string, any](c, name).With(p))
		},
	}
}

func (a *author) dict(name string, t *table) *write {
	key := fmt.Sprint("key ", a.rng.IntN(2*mostEntries))
	present := "first"
	if len(t.keys) > 0 {
		present = t.keys[a.rng.IntN(len(t.keys))]
	}
	if a.rng.IntN(8) == 0 {
		return a.lifetime(name, key, present, t)
	}
	n := a.rng.IntN(11)
	if len(t.keys) == 0 {
		n = a.rng.IntN(4)
	}
	switch n {
	case 0, 1:
		val := a.value()
		return onDict(name, func(t *table) { t.set(key, val) },
			func(d client.DictPipe[string, any]) answer { return answered(d.Set(key, val), struct{}{}) })
	case 2:
		number := fmt.Sprint("number ", a.rng.IntN(3))
		by := a.rng.Int64N(1000)
		sum := any(t.number(number) + by)
		return onDict(name, func(t *table) { t.set(number, t.number(number)+by) },
			func(d client.DictPipe[string, any]) answer { return answered(d.Increment(number, by), sum) })
	case 3:
		items := map[string]any{}
		var keys []string
		for range 2 + a.rng.IntN(8) {
			k := fmt.Sprint("key ", a.rng.IntN(2*mostEntries))
			if _, ok := items[k]; !ok {
				keys = append(keys, k)
			}
			items[k] = a.value()
		}
		inOrder := func(yield func(string, any) bool) {
			for _, k := range keys {
				if !yield(k, items[k]) {
					return
				}
			}
		}
		return onDict(name, func(t *table) {
			for k, v := range inOrder {
				t.set(k, v)
			}
		}, func(d client.DictPipe[string, any]) answer { return answered(d.Update(inOrder), struct{}{}) })
	case 4, 5:
		return onDict(name, func(t *table) { t.remove(present) },
			func(d client.DictPipe[string, any]) answer { return answered(d.Delete(present), struct{}{}) })
	case 6:
		val := t.vals[present]
		return onDict(name, func(t *table) { t.remove(present) },
			func(d client.DictPipe[string, any]) answer { return answered(d.Pop(present), val) })
	case 7, 8:
		newest := t.keys[len(t.keys)-1]
		item := client.Item[string, any]{Key: newest, Value: t.vals[newest]}
		return onDict(name, func(t *table) { t.remove(newest) },
			func(d client.DictPipe[string, any]) answer { return answered(d.PopItem(), item) })
	case 9:
		old, val := t.vals[present], any(a.value())
		if n, isNumber := old.(int64); isNumber {
			val = n + 1
		}
		return onDict(name, func(t *table) { t.set(present, val) },
			func(d client.DictPipe[string, any]) answer { return answered(d.CompareAndSet(present, old, val), true) })
	}
	if len(t.keys) < mostEntries {
		val := any(a.value())
		here := val
		if old, ok := t.vals[key]; ok {
			here = old
		}
		return onDict(name, func(t *table) { t.set(key, here) },
			func(d client.DictPipe[string, any]) answer { return answered(d.SetDefault(key, val), here) })
	}
	return onDict(name, func(t *table) { t.keys = nil; clear(t.vals) },
		func(d client.DictPipe[string, any]) answer { return answered(d.Clear(), struct{}{}) })
}

// onList returns a write of a list for a pipeline.
func onList(name string, apply func([]string) []string, queue func(client.ListPipe[string]) answer) *write {
	return &write{
		apply: func(m model) { m[name].elements = apply(m[name].elements) },
		queue: func(c *client.Client, p *client.Pipeline) answer {
			return queue(client.ListOf[string](c, name).With(p))
		},
	}
}

func (a *author) list(name string, t *table) *write {
	length := len(t.elements)
	n := a.rng.IntN(14)
	switch {
	case length == 0:
		n = a.rng.IntN(4)
	case length > mostEntries:
		n = 12
	}
	at := a.rng.IntN(max(length, 1))
	switch n {
	case 0, 1:
		val := a.value()
		return onList(name, func(l []string) []string { return append(l, val) },
			func(l client.ListPipe[string]) answer { return answered(l.Append(val), struct{}{}) })
	case 2:
		val := a.value()
		return onList(name, func(l []string) []string { return slices.Insert(l, 0, val) },
			func(l client.ListPipe[string]) answer { return answered(l.AppendLeft(val), struct{}{}) })
	case 3:
		vals := []string{a.value(), a.value(), a.value()}
		return onList(name, func(l []string) []string { return append(l, vals...) },
			func(l client.ListPipe[string]) answer { return answered(l.Extend(vals...), struct{}{}) })
	case 4, 5:
		val := a.value()
		return onList(name, func(l []string) []string { return slices.Insert(l, at, val) },
			func(l client.ListPipe[string]) answer { return answered(l.Insert(at, val), struct{}{}) })
	case 6:
		val := a.value()
		return onList(name, func(l []string) []string { l[at] = val; return l },
			func(l client.ListPipe[string]) answer { return answered(l.Set(at, val), struct{}{}) })
	case 7:
		last := t.elements[length-1]
		return onList(name, func(l []string) []string { return l[:len(l)-1] },
			func(l client.ListPipe[string]) answer { return answered(l.Pop(), last) })
	case 8:
		first := t.elements[0]
		return onList(name, func(l []string) []string { return l[1:] },
			func(l client.ListPipe[string]) answer { return answered(l.PopLeft(), first) })
	case 9:
		return onList(name, func(l []string) []string { return slices.Delete(l, at, at+1) },
			func(l client.ListPipe[string]) answer { return answered(l.Delete(at), struct{}{}) })
	case 10:
		return onList(name, func(l []string) []string { slices.Sort(l); return l },
			func(l client.ListPipe[string]) answer {
				return answered(l.Sort(client.Itself, client.Ascending), struct{}{})
			})
	case 11:
		// Stable: elements of one length stay in their order.
		return onList(name, func(l []string) []string {
			slices.SortStableFunc(l, func(a, b string) int { return len(b) - len(a) })
			return l
		}, func(l client.ListPipe[string]) answer {
			return answered(l.Sort(client.Itself.Len(), client.Descending), struct{}{})
		})
	case 12:
		return &write{
			apply: func(m model) { m[name].elements = slices.Delete(m[name].elements, at/2, at+1) },
			alone: func(ctx context.Context, c *client.Client) error {
				return client.ListOf[string](c, name).DeleteSlice(ctx, at/2, at+1, client.None)
			},
		}
	}
	return &write{
		apply: func(m model) { slices.Reverse(m[name].elements) },
		alone: func(ctx context.Context, c *client.Client) error { return client.ListOf[string](c, name).Reverse(ctx) },
	}
}

// readTables returns the contents of all tables whose names begin with a prefix.
func readTables(ctx context.Context, c *client.Client, prefix string) (model, error) {
	m := model{}
	tables, err := c.Tables(ctx)
	if err != nil {
		return nil, err
	}
	for _, info := range tables {
		if !strings.HasPrefix(info.Name, prefix) {
			continue
		}
		t := newDict()
		if t.isList = info.Kind == client.KindList; t.isList {
			t.vals = nil
			t.elements, err = client.ListOf[string](c, info.Name).Values(ctx)
		} else {
			var items []client.Item[string, any]
			items, err = client.DictOf[string, any](c, info.Name).Items(ctx)
			for _, i := range items {
				t.set(i.Key, i.Value)
			}
		}
		if err != nil {
			return nil, err
		}
		m[info.Name] = t
	}
	return m, nil
}
