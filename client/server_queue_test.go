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

// TestItemThatCannotBeDecoded takes an item of another type. It returns at the end of the list when
// its lease would end, and is moved to the dead letters at last.
func TestItemThatCannotBeDecoded(t *testing.T) {
	c, ctx, s := startServer(t).Client(t, nil), t.Context(), session{t}
	all := client.ListOf[any](c, "q")
	o := client.ListOptions{MaxDeliveries: 2, DeadLetter: "dead"}
	s.expect("create", nil, all.CreateWith(ctx, o, "text", int64(1)))
	holds := func(l *client.List[any], want ...any) func() bool {
		return func() bool {
			got, err := l.Values(ctx)
			return err == nil && slices.Equal(got, want)
		}
	}
	q := client.ListOf[int](c, "q")
	const lease = 300 * time.Millisecond
	item, ok, err := q.Take(ctx, lease, 0)
	s.expect("a text", govalue.ErrWrongType, err)
	s.expect("nothing is taken", client.Delivery[int]{}, item, nil)
	s.expect("nothing is taken", false, ok, nil)
	eventually(t, "the text is back", holds(all, int64(1), "text"))
	item, _, err = q.Take(ctx, time.Minute, 0)
	s.expect("the next one", 1, item.Value, err)
	_, _, err = q.Take(ctx, lease, 0)
	s.expect("the text again", govalue.ErrWrongType, err)
	eventually(t, "the text is a dead letter", holds(c.List("dead"), "text"))
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
