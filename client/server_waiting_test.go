package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/loop/looptest"
)

// TestCancelsAtRandom cancels waits of all kinds at random times, many of them as they are granted.
// Nothing is lost, held or left waiting.
func TestCancelsAtRandom(t *testing.T) {
	server := startServer(t)
	c, ctx := server.Client(t, nil), t.Context()
	const jobs = 300
	q, p, d := client.ListOf[int](c, "q"), client.ListOf[int](c, "p"), client.DictOf[string, int](c, "d")
	if err := errors.Join(q.Create(ctx), p.Create(ctx), d.Create(ctx)); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	var mu sync.Mutex
	got := map[string][]int{}
	keep := func(queue string, v int) {
		mu.Lock()
		defer mu.Unlock()
		got[queue] = append(got[queue], v)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	work := func(do func(ctx context.Context) error) {
		for range 8 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					soon, cancel := context.WithTimeout(ctx, rand.N(2*time.Millisecond))
					err := do(soon)
					cancel()
					if err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	work(func(soon context.Context) error {
		item, ok, err := q.Take(soon, time.Hour, client.Forever)
		if ok {
			keep("q", item.Value)
			return errors.Join(err, q.Ack(ctx, item.Receipt))
		}
		return err
	})
	work(func(soon context.Context) error {
		pop := p.PopWait
		if rand.IntN(2) == 0 {
			pop = p.PopLeftWait
		}
		v, err := pop(soon, client.Forever)
		if err == nil {
			keep("p", v)
		}
		return err
	})
	work(func(soon context.Context) error {
		lock, err := c.Lock(soon, "L", client.LockOptions{TTL: time.Hour})
		if err != nil {
			return err
		}
		return lock.Unlock(ctx)
	})
	work(func(soon context.Context) error {
		_, err := d.GetOrCompute(
			soon,
			"k",
			client.ComputeOptions{Lease: time.Hour},
			func(context.Context) (int, error) {
				return 0, context.DeadlineExceeded
			},
		)
		return err
	})
	for i := range jobs {
		if err := errors.Join(q.Put(ctx, i, 0), p.Append(ctx, i)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(3 * time.Millisecond))
	}
	eventually(t, "all jobs are taken", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got["q"]) >= jobs && len(got["p"]) >= jobs
	})
	close(stop)
	wg.Wait()
	for name, values := range got {
		if slices.Sort(values); len(slices.Compact(slices.Clone(values))) != jobs || len(values) != jobs {
			t.Errorf("%s: %d values of %d", name, len(values), jobs)
		}
	}
	eventually(t, "nothing waits", func() bool { return waitingRequests(t, c) == 0 })
	lock, err := c.Lock(ctx, "L", client.LockOptions{Wait: 5 * time.Second})
	if err != nil {
		t.Errorf("the lock is held: %v", err)
	} else if err := lock.Unlock(ctx); err != nil {
		t.Error(err)
	}
	if held, err := q.Held(ctx); held != (client.HeldItems{}) || err != nil {
		t.Errorf("held: %+v, %v", held, err)
	}
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = d.GetOrCompute(soon, "k", client.ComputeOptions{}, func(context.Context) (int, error) { return 1, nil })
	if err != nil {
		t.Errorf("the right to compute is held: %v", err)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+5 })
}

// TestWaitsOverARestart restarts the server while calls of all kinds wait. They go on.
func TestWaitsOverARestart(t *testing.T) {
	server := looptest.StartOnDisk(t)
	c := server.Client(t, &client.Options{MaxBackoff: 50 * time.Millisecond})
	ctx := t.Context()
	q, d := client.ListOf[string](c, "q"), client.DictOf[string, string](c, "d")
	if err := errors.Join(q.Create(ctx), d.Create(ctx)); err != nil {
		t.Fatal(err)
	}
	first, err := c.Lock(ctx, "L", client.LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := c.Subscribe(ctx, client.Channels{Names: []string{"c"}})
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan string)
	report := func(what string, v any, err error) { results <- fmt.Sprintf("%s: %v %v", what, v, err) }
	go func() {
		lock, err := c.Lock(ctx, "L", client.LockOptions{})
		report("lock", lock != nil && lock.Fence() > first.Fence(), err)
	}()
	go func() {
		item, _, err := q.Take(ctx, time.Minute, client.Forever)
		report("take", item.Value, err)
	}()
	go func() {
		m, err := sub.Receive(ctx)
		report("receive", fmt.Sprint(m.Value, " ", m.Gap), err)
	}()
	eventually(t, "all wait", func() bool { return waitingRequests(t, c) == 3 })
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all wait again", func() bool { return waitingRequests(t, c) == 3 })
	if err := errors.Join(first.Unlock(ctx), q.Put(ctx, "job", 0)); err != nil {
		t.Error(err)
	}
	eventually(t, "the subscription is made again", func() bool {
		n, err := c.Publish(ctx, "c", "news")
		return n == 1 && err == nil
	})
	var got []string
	for range 3 {
		got = append(got, <-results)
	}
	slices.Sort(got)
	if want := "lock: true <nil>\nreceive: news true <nil>\ntake: job <nil>"; strings.Join(got, "\n") != want {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
	if n, gaps := sub.Missed(); n != 0 || gaps == 0 {
		t.Errorf("missed %d, %d gaps", n, gaps)
	}
}
