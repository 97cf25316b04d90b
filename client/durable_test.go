package client_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"sync/atomic"
	"syscall"
	"testing"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop"
	"cyberdb-fast/loop/looptest"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// changes has one request of every kind that may change something, for a dict with the keys "a" and
// "n" and a list of three elements.
func changes(
	d *client.Dict[string, int],
	l *client.List[int],
	c *client.Client,
) map[string]func(context.Context) error {
	item := func(_ int, err error) error { return err }
	made := client.DictOf[string, int](c, "made")
	return map[string]func(context.Context) error{
		"set":             func(ctx context.Context) error { return d.Set(ctx, "k", 1) },
		"set default":     func(ctx context.Context) error { return item(d.SetDefault(ctx, "k2", 1)) },
		"update":          func(ctx context.Context) error { return d.Update(ctx, maps.All(map[string]int{"u": 1})) },
		"increment":       func(ctx context.Context) error { return item(d.Increment(ctx, "n", 1)) },
		"pop":             func(ctx context.Context) error { return item(d.PopOr(ctx, "k", 0)) },
		"compare and set": func(ctx context.Context) error { _, err := d.CompareAndSet(ctx, "a", 1, 1); return err },
		"append":          func(ctx context.Context) error { return l.Append(ctx, 4) },
		"extend":          func(ctx context.Context) error { return l.Extend(ctx, 5, 6) },
		"list set":        func(ctx context.Context) error { return l.Set(ctx, 0, 7) },
		"sort":            func(ctx context.Context) error { return l.Sort(ctx, client.Itself, client.Ascending) },
		"reverse":         func(ctx context.Context) error { return l.Reverse(ctx) },
		"list pop":        func(ctx context.Context) error { return item(l.Pop(ctx)) },
		"create": func(ctx context.Context) error {
			if err := made.Create(ctx); err != nil {
				return err
			}
			return made.Drop(ctx)
		},
		"pipeline": func(ctx context.Context) error {
			p := c.Pipeline()
			d.With(p).Get("a")
			d.With(p).Set("k", 1)
			l.With(p).Append(1)
			return p.Do(ctx)
		},
	}
}

func someTables(t *testing.T, c *client.Client) (*client.Dict[string, int], *client.List[int]) {
	t.Helper()
	d, l := client.DictOf[string, int](c, "d"), client.ListOf[int](c, "l")
	if err := errors.Join(
		d.Create(t.Context(), client.Item[string, int]{Key: "a", Value: 1}),
		l.Create(t.Context(), 3, 1, 2),
	); err != nil {
		t.Fatal(err)
	}
	return d, l
}

// TestDurable makes every kind of change with a Durable context and finds it after a restart. A
// server without a journal refuses such changes. Reads do not carry the flag.
func TestDurable(t *testing.T) {
	t.Parallel()
	kept, memory := looptest.StartOnDisk(t), looptest.Start(t)
	for name, server := range map[string]*looptest.Server{"journal": kept, "memory": memory} {
		c := server.Client(t, nil)
		d, l := someTables(t, c)
		ctx := client.Durable(t.Context())
		for what, change := range changes(d, l, c) {
			if err := change(
				ctx,
			); server == kept && err != nil ||
				server == memory && !errors.Is(err, client.ErrBadRequest) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		if n, err := d.Get(ctx, "a"); n != 1 || err != nil {
			t.Errorf("%s: get: %d, %v", name, n, err)
		}
		if all, err := l.Values(ctx); err != nil || server == memory && len(all) != 3 {
			t.Errorf("%s: values: %v, %v", name, all, err)
		}
	}
	c := kept.Client(t, nil)
	d := client.DictOf[string, int](c, "d")
	if err := d.Set(client.Durable(t.Context()), "last", 9); err != nil {
		t.Fatal(err)
	}
	if err := kept.Restart(); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Get(t.Context(), "last"); n != 9 || err != nil {
		t.Errorf("after the restart: %d, %v", n, err)
	}
}

// TestNotDurable lets the disk fail: the current durable change returns ErrNotDurable, later
// changes return ErrReadOnly, and reads continue.
func TestNotDurable(t *testing.T) {
	t.Parallel()
	disk := fstest.NewDisk()
	if err := disk.MkdirAll("data"); err != nil {
		t.Fatal(err)
	}
	var broken atomic.Bool
	faults := &fstest.Faults{FS: disk, Fail: func(_ int, op, _ string) error {
		if broken.Load() && (op == "write" || op == "sync") {
			return syscall.ENOSPC
		}
		return nil
	}}
	srv, err := loop.Start(loop.Config{
		Addr: "127.0.0.1:0", Password: looptest.Password, KDF: secure.KDF{LogN: secure.MinLogN}, EventLoops: 1,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Data:   loop.Data{File: "data/data.cdb", FS: faults, Fsync: persist.Never},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = srv.Stop(context.Background()) }() // it cannot save
	c, err := client.New(client.Options{Addr: srv.Addr().String(), Password: looptest.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, l := someTables(t, c)
	// nothing is waiting to be written any more
	if err := d.Set(client.Durable(t.Context()), "before", 1); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if err := d.Set(client.Durable(t.Context()), "k", 1); !errors.Is(err, client.ErrNotDurable) {
		t.Errorf("the change that could not be written: %v", err)
	}
	for what, change := range changes(d, l, c) {
		if err := change(t.Context()); !errors.Is(err, client.ErrReadOnly) {
			t.Errorf("%s, after it: %v", what, err)
		}
	}
	if n, err := d.Get(t.Context(), "k"); n != 1 || err != nil {
		t.Errorf("get: %d, %v", n, err)
	}
}
