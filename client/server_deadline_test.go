package client_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"cyberdb-fast/client"
)

// sentDeadline is a context whose deadline the server learns, and which itself never ends.
type sentDeadline struct {
	context.Context
	at time.Time
}

func within(d time.Duration) context.Context {
	return sentDeadline{context.Background(), time.Now().Add(d)}
}

func (c sentDeadline) Deadline() (time.Time, bool) { return c.at, true }

// TestLateRequestsDoNothing appends to a list while it is sorted. Each request that came too late
// has had no effect, and each other one has had it, also in pipelines.
func TestLateRequestsDoNothing(t *testing.T) {
	t.Parallel()
	c := startServer(t).Client(t, nil)
	l := client.ListOf[int](c, "l")
	content := make([]int, 100_000)
	for i := range content {
		content[i] = rand.IntN(len(content))
	}
	if err := l.Create(t.Context(), content...); err != nil {
		t.Fatal(err)
	}
	done, sorted := make(chan struct{}), make(chan error, 1)
	go func() { sorted <- sortUntil(t.Context(), l, done) }()
	late, inTime := 0, 0
	count := func(err error) {
		switch {
		case err == nil:
			inTime++
		case errors.Is(err, client.ErrDeadlineExceeded) && errors.Is(err, context.DeadlineExceeded):
			late++
		default:
			t.Error(err)
		}
	}
	for end := time.Now().Add(20 * time.Second); late < 20 && time.Now().Before(end); {
		count(l.Append(within(5*time.Millisecond), -1))
		p := c.Pipeline()
		first, second := l.With(p).Append(-1), l.With(p).Append(-1)
		_ = p.Do(within(5 * time.Millisecond))
		count(first.Err())
		count(second.Err())
	}
	close(done)
	if err := <-sorted; err != nil {
		t.Error(err)
	}
	if n, err := l.Count(t.Context(), -1); n != inTime || err != nil {
		t.Errorf("%d requests of %d took effect, %v; %d succeeded", n, late+inTime, err, inTime)
	}
	if late == 0 {
		t.Error("no request was late: the test proves nothing")
	}
}

// sortUntil sorts l by two keys in turn until done is closed.
func sortUntil(ctx context.Context, l *client.List[int], done <-chan struct{}) error {
	for {
		for _, key := range []client.SortKey{client.Itself, client.Itself.Str()} {
			if err := l.Sort(ctx, key, client.Ascending); err != nil {
				return err
			}
			select {
			case <-done:
				return nil
			default:
			}
		}
	}
}
