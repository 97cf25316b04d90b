package client_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/govalue"
)

// TestOneComputation has 10,000 callers for one value.
func TestOneComputation(t *testing.T) {
	server := startServer(t)
	const clients, callers = 2, 10_000
	var computed, served atomic.Int64
	var wg sync.WaitGroup
	begun, slow := make(chan struct{}), make(chan struct{})
	for i := range clients {
		c := server.Client(t, nil)
		d := client.DictOf[string, int](c, "d")
		if _, err := d.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		get := client.Cached(d, client.ComputeOptions{TTL: time.Minute}, func(context.Context, string) (int, error) {
			if computed.Add(1) == 1 {
				close(begun)
			}
			<-slow
			return 42, nil
		})
		for range callers / clients {
			wg.Go(func() {
				if v, err := get(t.Context(), "k"); v != 42 || err != nil {
					t.Errorf("got %d, %v", v, err)
				}
				served.Add(1)
			})
		}
		if i == 0 {
			<-begun
		}
	}
	c := server.Client(t, nil)
	eventually(t, "all wait", func() bool { return waitingRequests(t, c) == callers-1 })
	close(slow)
	wg.Wait()
	if computed.Load() != 1 || served.Load() != callers || waitingRequests(t, c) != 0 {
		t.Errorf("%d computations for %d callers", computed.Load(), served.Load())
	}
}

// TestOneComputationOfALargeKey has more bytes of requests that wait on one connection than a
// server takes ahead of what it executes.
func TestOneComputationOfALargeKey(t *testing.T) {
	server := startServer(t)
	c, watch := server.Client(t, &client.Options{Conns: 1}), server.Client(t, nil)
	d := client.DictOf[string, int](c, "d")
	if err := d.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	const callers = 1500
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	key, slow := strings.Repeat("k", 60<<10), make(chan struct{})
	var computed atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			v, err := d.GetOrCompute(ctx, key, client.ComputeOptions{}, func(context.Context) (int, error) {
				computed.Add(1)
				<-slow
				return 42, nil
			})
			if v != 42 || err != nil {
				t.Errorf("got %d, %v", v, err)
			}
		})
	}
	eventually(t, "all wait", func() bool { return waitingRequests(t, watch) == callers-1 })
	close(slow)
	wg.Wait()
	if n := computed.Load(); n != 1 {
		t.Errorf("%d computations", n)
	}
}

// TestFailedComputations lets a computation fail, panic, and end with its context. Nothing is
// stored, and the next caller computes at once.
func TestFailedComputations(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d := client.DictOf[string, any](c, "d")
	s.expect("create", nil, d.Create(ctx))
	failure := errors.New("no luck")
	get := func(compute func(context.Context) (any, error)) (any, error) {
		soon, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return d.GetOrCompute(soon, "k", client.ComputeOptions{TTL: time.Minute}, compute)
	}
	_, err := get(func(context.Context) (any, error) { return 1, failure })
	s.expect("its own error", failure, err)
	func() {
		defer func() { s.expect("the panic", failure, recover()) }()
		_, _ = get(func(context.Context) (any, error) { panic(failure) })
	}()
	_, err = get(func(context.Context) (any, error) { return make(chan int), nil })
	s.expect("no encoding", true, err != nil, nil)
	ended, cancel := context.WithCancel(ctx)
	v, err := d.GetOrCompute(ended, "k", client.ComputeOptions{}, func(context.Context) (any, error) {
		cancel()
		return 2, nil
	})
	s.expect("the context ends", "2 context canceled", v, errors.Unwrap(err), nil)
	found, err := d.Contains(ctx, "k")
	s.expect("nothing is stored", false, found, err)
	v, err = get(func(context.Context) (any, error) { return int64(3), nil })
	s.expect("computed", int64(3), v, err)
	left, expires, err := d.TTL(ctx, "k")
	s.expect("its time to live", true, expires && left > 50*time.Second && left <= time.Minute, err)
	_, err = client.DictOf[string, int](c, "none").GetOrCompute(ctx, "k", client.ComputeOptions{}, nil)
	s.expect("no table", client.ErrNoSuchTable, err)
	_, err = client.DictOf[any, int](c, "d").GetOrCompute(ctx, []any{1}, client.ComputeOptions{}, nil)
	s.expect("an unhashable key", client.ErrType, err)
}

// TestStoredOnlyWithTheRight takes the right to compute from a caller: its value is not stored.
func TestStoredOnlyWithTheRight(t *testing.T) {
	c, ctx := startServer(t).Client(t, nil), t.Context()
	d := client.DictOf[string, string](c, "d")
	if err := d.Create(ctx); err != nil {
		t.Fatal(err)
	}
	v, err := d.GetOrCompute(ctx, "k", client.ComputeOptions{}, func(context.Context) (string, error) {
		if err := c.Drop(ctx, "cyberdb:locks"); err != nil { // as an operator may
			return "", err
		}
		return "late", d.Set(ctx, "k", "newer")
	})
	if v != "late" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
	if v, err := d.Get(ctx, "k"); v != "newer" || err != nil {
		t.Errorf("stored: %q, %v", v, err)
	}
}

// TestComputedOverAnotherType has a value in the dict that is not a V: a fresh one is an error, a
// stale one is computed anew.
func TestComputedOverAnotherType(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	s.expect("create", nil, c.CreateDict(ctx, "d", client.Item[any, any]{Key: "k", Value: "text"}))
	d := client.DictOf[string, int](c, "d")
	compute := func(context.Context) (int, error) { return 42, nil }
	_, err := d.GetOrCompute(ctx, "k", client.ComputeOptions{}, compute)
	s.expect("fresh", govalue.ErrWrongType, err)
	s.expect("becomes stale", nil, client.DictOf[string, string](c, "d").SetWithTTL(ctx, "k", "text", time.Minute))
	v, err := d.GetOrCompute(ctx, "k", client.ComputeOptions{TTL: time.Hour, Stale: time.Hour}, compute)
	s.expect("stale", 42, v, err)
	v, err = d.Get(ctx, "k")
	s.expect("stored", 42, v, err)
}

// TestComputedUnderALock stores a computed value while a lock is held, and does not when it is
// lost: then the caller is told, and the next one can compute.
func TestComputedUnderALock(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	d := client.DictOf[string, int](c, "d")
	s.expect("create", nil, d.Create(ctx))
	lock, err := c.Lock(ctx, "L", client.LockOptions{})
	s.expect("lock", nil, err)
	fenced := lock.IfFence(ctx)
	v, err := d.GetOrCompute(fenced, "held", client.ComputeOptions{}, func(context.Context) (int, error) {
		return 1, nil
	})
	s.expect("held", 1, v, err)
	v, err = d.GetOrCompute(fenced, "lost", client.ComputeOptions{}, func(context.Context) (int, error) {
		return 2, lock.Unlock(ctx)
	})
	s.expect("the lock is lost", 2, v, nil)
	s.expect("the error", client.ErrLockLost, err)
	found, err := d.Contains(ctx, "lost")
	s.expect("not stored", false, found, err)
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	v, err = d.GetOrCompute(soon, "lost", client.ComputeOptions{}, func(context.Context) (int, error) {
		return 3, nil
	})
	s.expect("the next one", 3, v, err)
}
