package client_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/govalue"
)

func TestListOptions(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	l := client.ListOf[int](c, "l")
	o := client.ListOptions{MaxDeliveries: 3, DeadLetter: "dead"}
	s.expect("create", nil, l.CreateWith(ctx, o, 1, 2))
	got, err := l.Options(ctx)
	s.expect("options", o, got, err)
	made, err := l.EnsureWith(ctx, client.ListOptions{MaxDeliveries: 5, DeadLetter: "other"})
	s.expect("ensure", false, made, err)
	s.expect("configure nothing", nil, l.Configure(ctx, client.ListOptions{}))
	s.expect("configure", nil, l.Configure(ctx, client.ListOptions{MaxDeliveries: 4, DeadLetter: "d2"}))
	got, err = l.Options(ctx)
	s.expect("options", client.ListOptions{MaxDeliveries: 4, DeadLetter: "d2"}, got, err)
	s.expect("remove", nil, l.Configure(ctx, client.ListOptions{MaxDeliveries: client.None}))
	got, err = l.Options(ctx)
	s.expect("no options", client.ListOptions{}, got, err)
	s.expect("too many", client.ErrValue, l.Configure(ctx, client.ListOptions{MaxDeliveries: 1001, DeadLetter: "d"}))
}

// TestItemThatCannotBeDecoded takes an item of another type: its receipt comes with the error.
func TestItemThatCannotBeDecoded(t *testing.T) {
	c, ctx := startServer(t).Client(t, nil), t.Context()
	if err := c.CreateList(ctx, "q", "text"); err != nil {
		t.Fatal(err)
	}
	q := client.ListOf[int](c, "q")
	item, _, err := q.Take(ctx, time.Minute, 0)
	if err == nil || item.Receipt == 0 {
		t.Fatalf("got %+v, %v", item, err)
	}
	if err := q.Ack(ctx, item.Receipt); err != nil {
		t.Error(err)
	}
}

// TestPoppedElementThatCannotBeDecoded waits for elements of another type: they stay in the list.
func TestPoppedElementThatCannotBeDecoded(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	s.expect("create", nil, c.CreateList(ctx, "l", "one", "two", "three"))
	ints, texts := client.ListOf[int](c, "l"), client.ListOf[string](c, "l")
	for _, pop := range []func(context.Context, time.Duration) (int, error){ints.PopLeftWait, ints.PopWait} {
		_, err := pop(ctx, time.Second)
		s.expect("the error", govalue.ErrWrongType, err)
		eventually(t, "it is back", func() bool {
			all, err := texts.Slice(ctx, client.None, client.None, 1)
			return err == nil && slices.Equal(all, []string{"one", "two", "three"})
		})
	}
}
