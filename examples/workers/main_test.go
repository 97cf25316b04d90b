package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/loop/looptest"
)

// TestRun handles each job once, retries those that fail, and gives up one that always does.
func TestRun(t *testing.T) {
	db, ctx := looptest.Client(t), t.Context()
	jobs, failed := client.ListOf[string](db, "jobs"), client.ListOf[string](db, "failed")
	if err := jobs.CreateWith(ctx, options, "a", "bad", "b", "flaky", "c"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	handled := map[string]int{}
	running, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(running, jobs, 3, func(_ context.Context, job string) error {
			mu.Lock()
			defer mu.Unlock()
			if handled[job]++; job == "bad" || job == "flaky" && handled[job] == 1 {
				return errors.New("no luck")
			}
			return nil
		})
	}()
	for {
		dead, err := failed.Values(ctx)
		if err != nil && !errors.Is(err, client.ErrNoSuchTable) {
			t.Fatal(err)
		}
		if slices.Equal(dead, []string{"bad"}) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	<-done
	mu.Lock()
	defer mu.Unlock()
	if handled["a"] != 1 || handled["b"] != 1 || handled["c"] != 1 || handled["bad"] != 3 || handled["flaky"] != 2 {
		t.Errorf("handled %v", handled)
	}
	if held, err := jobs.Held(ctx); held != (client.HeldItems{}) || err != nil {
		t.Errorf("held %+v, %v", held, err)
	}
}
