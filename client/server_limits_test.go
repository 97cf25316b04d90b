package client_test

import (
	"context"
	"testing"
	"time"

	"cyberdb-fast/client"
)

// full makes a dict of 10 entries, which is its limit.
func full(ctx context.Context, s session, c *client.Client, name string, p client.Policy) *client.Dict[int, int] {
	d := client.DictOf[int, int](c, name)
	var items []client.Item[int, int]
	for i := range 10 {
		items = append(items, client.Item[int, int]{Key: i, Value: i})
	}
	s.expect("create "+name, nil, d.CreateWith(ctx, client.DictOptions{MaxEntries: len(items), Policy: p}, items...))
	return d
}

func TestFullDictRefuses(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d := full(ctx, s, c, "d", client.NoEviction)
	s.expect("set", client.ErrOverloaded, d.Set(ctx, 10, 1))
	_, err := d.WithTTL(time.Hour).Increment(ctx, 10, 1)
	s.expect("increment", client.ErrOverloaded, err)
	s.expect("update", client.ErrOverloaded, d.Update(ctx, func(yield func(int, int) bool) {
		_ = yield(0, 5) && yield(10, 5)
	}))
	v, err := d.Get(ctx, 0)
	s.expect("nothing was done", 0, v, err)
	s.expect("set of what is there", nil, d.Set(ctx, 0, 7))
	s.expect("delete", nil, d.Delete(ctx, 1))
	s.expect("set when there is room", nil, d.Set(ctx, 10, 1))
}

func TestFullDictMakesRoom(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d := full(ctx, s, c, "d", client.DefaultPolicy)
	for i := range 500 {
		p := c.Pipeline()
		set, get, n := d.With(p).Set(i, -i), d.With(p).Get(i), d.With(p).Len()
		s.expect("do", nil, p.Do(ctx))
		if set.Err() != nil || get.Value() != -i || n.Value() > 10 {
			t.Fatalf("entry %d: %v, %d of %d entries", i, set.Err(), get.Value(), n.Value())
		}
	}
	soon := full(ctx, s, c, "soon", client.NearestDeadline)
	s.expect("no deadline", client.ErrOverloaded, soon.Set(ctx, 10, 1))
	s.expect("later", nil, soon.Expire(ctx, 3, time.Hour))
	s.expect("sooner", nil, soon.Expire(ctx, 5, time.Minute))
	s.expect("set", nil, soon.Set(ctx, 10, 1))
	found, err := soon.GetMany(ctx, 3, 5)
	s.expect("the sooner one is gone", []client.Entry[int]{{Value: 3, Found: true}, {}}, found, err)
}

func TestIdleEntriesExpire(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	const idle = time.Second
	d := client.DictOf[string, int](c, "d")
	began := time.Now()
	s.expect("create", nil, d.CreateWith(
		ctx, client.DictOptions{Idle: idle},
		client.Item[string, int]{Key: "read", Value: 1},
		client.Item[string, int]{Key: "touched", Value: 1},
		client.Item[string, int]{Key: "idle", Value: 1},
	))
	waitUntil(t, "idle expires", func() (bool, error) {
		if _, err := d.Get(ctx, "read"); err != nil {
			return false, err
		}
		if err := d.Touch(ctx, "touched"); err != nil {
			return false, err
		}
		n, err := d.Len(ctx)
		return n == 2, err
	})
	if lived := time.Since(began); lived <= idle-tick {
		t.Errorf("it lived for %v only", lived)
	}
	keys, err := d.Keys(ctx)
	s.expect("keys", []string{"read", "touched"}, keys, err)
	waitUntil(t, "all expire", func() (bool, error) { n, err := d.Len(ctx); return n == 0, err })
}
