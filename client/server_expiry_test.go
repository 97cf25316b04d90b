package client_test

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/loop/looptest"
)

const (
	briefly = 150 * time.Millisecond // how long entries live that a test waits for
	tick    = time.Millisecond       // the unit of the server's time: what happens in one has the same time
)

// isAbout says whether the time that is left is what was set a moment ago.
func isAbout(left, due time.Duration) bool { return left > due-time.Minute && left <= due }

// waitUntil waits until a condition of the server holds.
func waitUntil(t *testing.T, what string, holds func() (bool, error)) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		now, err := holds()
		if err != nil || time.Now().After(end) {
			t.Fatalf("%s: waited in vain, %v", what, err)
		}
		if now {
			return
		}
	}
}

func TestEntriesExpire(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d := client.DictOf[string, int](c, "d")
	s.expect("create", nil, d.Create(ctx, client.Item[string, int]{Key: "a", Value: 1}))
	began := time.Now()
	s.expect("set with ttl", nil, d.SetWithTTL(ctx, "k", 2, briefly))
	left, expires, err := d.TTL(ctx, "k")
	s.expect("ttl", true, expires && left > 0 && left <= briefly, err)
	_, version, err := d.GetVersioned(ctx, "k")
	s.expect("version", true, version != client.Absent, err)
	waitUntil(t, "k expires", func() (bool, error) { found, err := d.Contains(ctx, "k"); return !found, err })
	if lived := time.Since(began); lived <= briefly-tick {
		t.Errorf("k lived for %v only", lived)
	}
	_, err = d.Get(ctx, "k")
	s.expect("get", client.ErrKey, err)
	_, _, err = d.TTL(ctx, "k")
	s.expect("ttl of none", client.ErrKey, err)
	_, err = d.SetIf(ctx, "k", 3, version)
	s.expect("set if", client.ErrVersionMismatch, err)
	_, err = d.ExpireIf(ctx, "k", time.Hour, version)
	s.expect("expire if", client.ErrVersionMismatch, err)
	keys, err := d.Keys(ctx)
	s.expect("keys", []string{"a"}, keys, err)
	waitUntil(t, "len", func() (bool, error) { n, err := d.Len(ctx); return n == 1, err })
	_, err = d.SetIf(ctx, "k", 3, client.Absent)
	s.expect("set if absent", nil, err)
	_, expires, err = d.TTL(ctx, "k")
	s.expect("no deadline", false, expires, err)
	for name, err := range map[string]error{
		"expire": d.Expire(ctx, "x", time.Hour), "persist": d.Persist(ctx, "x"), "touch": d.Touch(ctx, "x"),
	} {
		s.expect(name+" absent", client.ErrKey, err)
	}
}

// TestWritesAndDeadlines checks what each write does to the deadline of an entry that has an hour
// left, and of a new entry.
func TestWritesAndDeadlines(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	plain := client.DictOf[string, int](c, "d")
	s.expect("create", nil, plain.Create(ctx))
	const none, hour, day = 0, time.Hour, 24 * time.Hour
	lasting := plain.WithTTL(day)
	one := maps.All(map[string]int{"k": 1})
	modify := func(d *client.Dict[string, int]) error {
		_, err := d.Modify(ctx, "k", func(v int, _ bool) (int, error) { return v + 1, nil })
		return err
	}
	for _, test := range []struct {
		name        string
		write       func(d *client.Dict[string, int]) error
		plain, keep time.Duration // left for an entry that has an hour, with d and d.KeepTTL()
		ttl, create time.Duration // with d.WithTTL(day), for the same entry and for a new one
	}{
		{
			"Set", func(d *client.Dict[string, int]) error { return d.Set(ctx, "k", 1) },
			none, hour, day, day,
		},
		{
			"SetVersioned",
			func(d *client.Dict[string, int]) error { _, err := d.SetVersioned(ctx, "k", 1); return err },
			none, hour, day, day,
		},
		{
			"Update", func(d *client.Dict[string, int]) error { return d.Update(ctx, one) },
			none, hour, day, day,
		},
		{
			"SetDefault",
			func(d *client.Dict[string, int]) error { _, err := d.SetDefault(ctx, "k", 1); return err },
			hour, hour, hour, day,
		},
		{
			"Increment",
			func(d *client.Dict[string, int]) error { _, err := d.Increment(ctx, "k", 1); return err },
			hour, hour, hour, day,
		},
		{
			"CompareAndSet",
			func(d *client.Dict[string, int]) error { _, err := d.CompareAndSet(ctx, "k", 7, 8); return err },
			hour, hour, day, none,
		},
		{
			"SetIfAbsent",
			func(d *client.Dict[string, int]) error { _, err := d.SetIfAbsent(ctx, "k", 1); return err },
			hour, hour, hour, day,
		},
		{"Modify", modify, hour, hour, day, day},
	} {
		for _, way := range []struct {
			name string
			dict *client.Dict[string, int]
			due  time.Duration
			new  bool
		}{
			{"plain", plain, test.plain, false},
			{"KeepTTL", plain.KeepTTL(), test.keep, false},
			{"WithTTL", lasting, test.ttl, false},
			{"WithTTL, new", lasting, test.create, true},
		} {
			step := test.name + ", " + way.name
			s.expect(step+": clear", nil, plain.Clear(ctx))
			if !way.new {
				s.expect(step+": before", nil, plain.SetWithTTL(ctx, "k", 7, hour))
			}
			s.expect(step, nil, test.write(way.dict))
			left, expires, err := plain.TTL(ctx, "k")
			if errors.Is(err, client.ErrKey) && way.new && way.due == none {
				continue
			}
			s.expect(step+": ttl", true, expires == (way.due != none) && (!expires || isAbout(left, way.due)), err)
		}
	}
}

func TestExpireAndPersist(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d := client.DictOf[string, int](c, "d")
	s.expect("create", nil, d.CreateWith(ctx, client.DictOptions{TTL: time.Hour}))
	s.expect("update", nil, d.Update(ctx, func(yield func(string, int) bool) { _ = yield("a", 1) && yield("b", 2) }))
	due := func(step string, due time.Duration) {
		t.Helper()
		left, expires, err := d.TTL(ctx, "a")
		s.expect(step, true, expires == (due > 0) && (!expires || isAbout(left, due)), err)
	}
	due("default", time.Hour)
	s.expect("expire", nil, d.Expire(ctx, "a", 24*time.Hour))
	due("expire", 24*time.Hour)
	s.expect("touch", nil, d.Touch(ctx, "a"))
	due("touch", 24*time.Hour)
	s.expect("persist", nil, d.Persist(ctx, "a"))
	due("persist", 0)
	_, version, err := d.GetVersioned(ctx, "a")
	s.expect("version", true, version != client.Absent, err)
	next, err := d.ExpireIf(ctx, "a", client.MaxTTL, version)
	s.expect("expire if", true, next > version, err)
	due("expire if", client.MaxTTL)
	_, err = d.ExpireIf(ctx, "a", time.Hour, version)
	s.expect("expire if, old", client.ErrVersionMismatch, err)
	due("expire if, old", client.MaxTTL)
	s.expect("set", nil, d.Set(ctx, "a", 3))
	due("set", time.Hour)
	keys, err := d.Keys(ctx)
	s.expect("order", []string{"a", "b"}, keys, err)
	s.expect("expire soon", nil, d.Expire(ctx, "b", time.Nanosecond))
	waitUntil(t, "b expires", func() (bool, error) { found, err := d.Contains(ctx, "b"); return !found, err })
}

func TestExpiryInPipelines(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d := client.DictOf[string, int](c, "d")
	s.expect("create", nil, d.Create(ctx))
	p := c.Pipeline()
	on, minute := d.With(p), d.WithTTL(time.Minute).With(p)
	on.SetWithTTL("a", 1, time.Hour)
	first, second := minute.Increment("n", 1), d.WithTTL(time.Hour).With(p).Increment("n", 1)
	made, done := minute.SetDefault("s", 5), minute.SetIfAbsent("x", 1)
	minute.Update(maps.All(map[string]int{"u": 1}))
	var left []*client.Future[client.Remaining]
	for _, key := range []string{"a", "n", "s", "x", "u"} {
		left = append(left, on.TTL(key))
	}
	on.Expire("n", time.Hour)
	on.Persist("a")
	on.Touch("a")
	left = append(left, on.TTL("n"), on.TTL("a"))
	missing := on.TTL("none")
	s.expect("do", client.ErrKey, p.Do(ctx))
	s.expect("missing", client.ErrKey, missing.Err())
	s.expect("results", "1 2 5 true", first.Value(), second.Value(), made.Value(), done.Value(), error(nil))
	due := []time.Duration{time.Hour, time.Minute, time.Minute, time.Minute, time.Minute, time.Hour}
	for i, future := range left[:len(due)] {
		r, err := future.Result()
		s.expect("ttl", true, r.Expires && r.TTL > due[i]-30*time.Second && r.TTL <= due[i], err)
	}
	s.expect("persisted", client.Remaining{}, left[len(due)].Value(), error(nil))
}

// TestGoroutinesShareAWindow counts hits from many goroutines; the window begins with the first.
func TestGoroutinesShareAWindow(t *testing.T) {
	server, ctx, s := startServer(t), t.Context(), session{t}
	const clients, goroutines, each = 3, 10, 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	var seen []int
	s.expect("create", nil, server.Client(t, nil).CreateDict(ctx, "hits"))
	for range clients {
		hits := client.DictOf[string, int](server.Client(t, nil), "hits").WithTTL(time.Hour)
		for range goroutines {
			wg.Go(func() {
				for range each {
					n, err := hits.Increment(ctx, "/", 1)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					seen = append(seen, n)
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	slices.Sort(seen)
	for i, n := range seen {
		if n != i+1 {
			t.Fatalf("hit %d was counted as %d", i+1, n)
		}
	}
	if len(seen) != clients*goroutines*each {
		t.Errorf("%d hits", len(seen))
	}
}

func TestDictOptions(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d, other := client.DictOf[string, int](c, "d"), client.DictOf[string, int](c, "other")
	tell := func(step string, d *client.Dict[string, int], want client.DictOptions) {
		t.Helper()
		o, err := d.Options(ctx)
		s.expect(step, want, o, err)
	}
	s.expect("create", nil, d.Create(ctx))
	tell("none", d, client.DictOptions{Policy: client.NoEviction})
	s.expect("configure nothing", nil, d.Configure(ctx, client.DictOptions{}))
	tell("still none", d, client.DictOptions{Policy: client.NoEviction})
	s.expect("configure", nil, d.Configure(ctx, client.DictOptions{TTL: time.Hour + 1, MaxEntries: 10}))
	want := client.DictOptions{TTL: time.Hour + time.Millisecond, MaxEntries: 10, Policy: client.S3FIFO}
	tell("configured", d, want)
	s.expect("configure more", nil, d.Configure(
		ctx, client.DictOptions{Idle: time.Minute, MaxBytes: 1000, Policy: client.NearestDeadline},
	))
	want.Idle, want.MaxBytes, want.Policy = time.Minute, 1000, client.NearestDeadline
	tell("more", d, want)

	made, err := other.EnsureWith(ctx, want, client.Item[string, int]{Key: "k", Value: 1})
	s.expect("ensure", true, made, err)
	tell("of another dict", other, want)
	made, err = other.EnsureWith(ctx, client.DictOptions{TTL: 1})
	s.expect("ensure again", false, made, err)
	tell("as before", other, want)
	s.expect("create again", client.ErrTableExists, other.CreateWith(ctx, want))

	s.expect("remove", nil, d.Configure(ctx, client.DictOptions{TTL: client.None, Policy: client.DefaultPolicy}))
	want.TTL, want.Policy = 0, client.S3FIFO
	tell("removed", d, want)
	s.expect("remove the rest", nil, d.Configure(
		ctx, client.DictOptions{Idle: client.None, MaxEntries: client.None, MaxBytes: client.None},
	))
	tell("none left", d, client.DictOptions{Policy: client.NoEviction})

	s.expect("wrong policy", client.ErrValue, d.Configure(ctx, client.DictOptions{TTL: 1, Policy: "lru"}))
	s.expect("wrong limit", client.ErrValue, d.CreateWith(ctx, client.DictOptions{MaxEntries: 1 << 60}))
	tell("unchanged", d, client.DictOptions{Policy: client.NoEviction})
	s.expect("create list", nil, c.CreateList(ctx, "l"))
	_, err = c.Dict("l").Options(ctx)
	s.expect("options of a list", client.ErrWrongTableKind, err)
	s.expect("configure a list", client.ErrValue, c.Dict("l").Configure(ctx, client.DictOptions{TTL: 1}))
	_, err = c.Dict("none").Options(ctx)
	s.expect("options of none", client.ErrNoSuchTable, err)
}

func TestDeadlinesSurviveARestart(t *testing.T) {
	server, err := looptest.NewOnDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	c, ctx, s := server.Client(t, nil), t.Context(), session{t}
	d := client.DictOf[string, int](c, "d")
	options := client.DictOptions{TTL: 24 * time.Hour, MaxEntries: 50, Policy: client.S3FIFO}
	s.expect("create", nil, d.CreateWith(ctx, options))
	s.expect("brief", nil, d.SetWithTTL(ctx, "brief", 1, briefly))
	s.expect("hour", nil, d.SetWithTTL(client.Durable(ctx), "hour", 1, time.Hour))
	s.expect("default", nil, d.Set(ctx, "default", 1))
	s.expect("forever", nil, d.Set(ctx, "forever", 1))
	s.expect("persist", nil, d.Persist(ctx, "forever"))
	server.Stop()
	time.Sleep(briefly)
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	keys, err := d.Keys(ctx)
	s.expect("keys", []string{"hour", "default", "forever"}, keys, err)
	for key, due := range map[string]time.Duration{"hour": time.Hour, "default": 24 * time.Hour, "forever": 0} {
		left, expires, err := d.TTL(ctx, key)
		s.expect(key, true, expires == (due > 0) && (!expires || isAbout(left, due)), err)
	}
	o, err := d.Options(ctx)
	s.expect("options", options, o, err)
}
