package client_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/client"
)

// eventually fails the test unless the condition comes true in time.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for range 2000 {
		if condition() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("not after 10 s: %s", what)
}

// waitingRequests returns how many requests wait on the server.
func waitingRequests(t *testing.T, c *client.Client) int64 {
	t.Helper()
	info, err := c.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info["waiting_requests"].(int64)
}

func TestLocks(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	first, err := c.Lock(ctx, "L", client.LockOptions{})
	s.expect("lock", "L", first.Name(), err)
	_, err = c.TryLock(ctx, "L", client.LockOptions{})
	s.expect("held", client.ErrLockHeld, err)
	_, err = c.Lock(ctx, "L", client.LockOptions{Wait: 20 * time.Millisecond})
	s.expect("the wait ends", client.ErrLockHeld, err)
	holders, waiters, err := c.LockHolders(ctx, "L")
	s.expect("holders", "1 0", len(holders), waiters, err)
	if h := holders[0]; h.Fence != first.Fence() || h.Left <= 25*time.Second || h.Left > 30*time.Second {
		t.Errorf("holder %+v, fence %d", h, first.Fence())
	}
	s.expect("unlock", nil, first.Unlock(ctx))
	s.expect("unlock again", client.ErrLockLost, first.Unlock(ctx))
	holders, waiters, err = c.LockHolders(ctx, "L")
	s.expect("no holders", "0 0", len(holders), waiters, err)
	second, err := c.TryLock(ctx, "L", client.LockOptions{})
	s.expect("a greater fence", true, second.Fence() > first.Fence(), err)

	d := client.DictOf[string, int](c, "d")
	s.expect("create", nil, d.Create(second.IfFence(ctx)))
	old, now := first.IfFence(ctx), second.IfFence(ctx)
	s.expect("set", nil, d.Set(now, "k", 1))
	err = d.Set(old, "k", 2)
	s.expect("an old fence", client.ErrLockLost, err)
	var e *client.Error
	if !errors.As(err, &e) || e.Key != int64(second.Fence()) {
		t.Errorf("the error names the fence %v, want %d", e.Key, second.Fence())
	}
	pipe := c.Pipeline()
	set, get := d.With(pipe).Set("k", 3), d.With(pipe).Get("k")
	s.expect("a pipeline", client.ErrLockLost, pipe.Do(old))
	s.expect(
		"its requests",
		true,
		errors.Is(set.Err(), client.ErrLockLost) && errors.Is(get.Err(), client.ErrLockLost),
		nil,
	)
	items, failed := d.All(old)
	for range items {
		t.Error("a long read with an old fence")
	}
	s.expect("a long read", client.ErrLockLost, failed())
	v, err := d.Get(client.IfFence(ctx, "L", second.Fence()), "k")
	s.expect("get", 1, v, err)

	over, cancel := context.WithCancel(ctx)
	cancel()
	s.expect("unlock with a context that has ended", context.Canceled, second.Unlock(over))
	third, err := c.Lock(ctx, "L", client.LockOptions{Wait: 5 * time.Second})
	s.expect("released", nil, err)
	s.expect("unlock", nil, third.Unlock(ctx))
	s.expect("nobody", client.ErrLockLost, d.Set(now, "k", 2))
}

// TestUnlockWithAFence releases locks with contexts whose fences make the server refuse all
// requests with them.
func TestUnlockWithAFence(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	lost := client.IfFence(ctx, "lost", 1)
	for name, fenced := range map[string]context.Context{
		"the fence of a lost lock": lost,
		"two fences":               client.IfFence(lost, "another", 2),
	} {
		lock, err := c.Lock(ctx, "L", client.LockOptions{})
		s.expect(name, nil, err)
		s.expect(name, nil, lock.Unlock(fenced))
		holders, _, err := c.LockHolders(ctx, "L")
		s.expect(name, 0, len(holders), err)
	}
}

// TestWaitersTakeNoGoroutines has thousands of waiters in one client: there is the caller's
// goroutine of each, and no other. All are served, one at a time.
func TestWaitersTakeNoGoroutines(t *testing.T) {
	c, ctx := startServer(t).Client(t, nil), t.Context()
	const waiters = 5000
	first, err := c.Lock(ctx, "L", client.LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	var inside, served atomic.Int64
	for range waiters {
		wg.Go(func() {
			lock, err := c.Lock(ctx, "L", client.LockOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			if inside.Add(1) != 1 {
				t.Error("two owners at once")
			}
			served.Add(1)
			inside.Add(-1)
			if err := lock.Unlock(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all wait", func() bool { return waitingRequests(t, c) == waiters })
	if n := runtime.NumGoroutine() - before; n > waiters+10 {
		t.Errorf("%d goroutines for %d waiters", n, waiters)
	}
	if err := first.Unlock(ctx); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if served.Load() != waiters || waitingRequests(t, c) != 0 {
		t.Errorf("%d were served, %d wait", served.Load(), waitingRequests(t, c))
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+5 })
}

// TestLocksUnderLostConnections increments a counter by read and write under a lock, while
// connections break all the time. The fence makes each write sure.
func TestLocksUnderLostConnections(t *testing.T) {
	server := startServer(t)
	control, ctx := server.Client(t, nil), t.Context()
	d := client.DictOf[string, int](control, "d")
	if err := d.Create(ctx, client.Item[string, int]{Key: "n"}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, conn)
		}
		return conn, err
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var sure, unsure atomic.Int64
	for range 4 {
		c := server.Client(t, &client.Options{Dial: dial, MaxBackoff: 20 * time.Millisecond})
		d := client.DictOf[string, int](c, "d")
		for range 3 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					lock, err := c.Lock(ctx, "L", client.LockOptions{TTL: 500 * time.Millisecond})
					if err != nil {
						if !errors.Is(err, client.ErrConnectionLost) {
							t.Error(err)
						}
						continue
					}
					fenced := lock.IfFence(ctx)
					n, err := d.Get(fenced, "n")
					if err == nil {
						err = d.Set(fenced, "n", n+1)
						switch {
						case err == nil:
							sure.Add(1)
						case errors.Is(err, client.ErrConnectionLost):
							unsure.Add(1)
						}
					}
					if err != nil && !errors.Is(err, client.ErrConnectionLost) && !errors.Is(err, client.ErrLockLost) {
						t.Error(err)
					}
					_ = lock.Unlock(ctx)
				}
			})
		}
	}
	for range 30 {
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		conns = nil
		mu.Unlock()
	}
	close(stop)
	wg.Wait()
	n, err := d.Get(ctx, "n")
	if err != nil || int64(n) < sure.Load() || int64(n) > sure.Load()+unsure.Load() || sure.Load() == 0 {
		t.Errorf("counted %d: %d writes for sure, %d perhaps; %v", n, sure.Load(), unsure.Load(), err)
	}
	eventually(t, "nothing waits", func() bool { return waitingRequests(t, control) == 0 })
}
