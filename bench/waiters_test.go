package bench

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestWaiters counts the time from the push until the waiter has its element, and passes on errors.
func TestWaiters(t *testing.T) {
	const delay = 20 * time.Millisecond
	elements := make(chan error, 1)
	failed := errors.New("failed")
	next := error(nil)
	w := NewWaiters(
		func(context.Context, int) error {
			time.AfterFunc(delay, func() { elements <- next })
			return nil
		},
		func(ctx context.Context, _ int) error {
			select {
			case err := <-elements:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	)
	for range 3 {
		if took, more, err := w.Wake(t.Context(), 7); took < delay || took > time.Second || !more || err != nil {
			t.Errorf("got %v, %v, %v", took, more, err)
		}
	}
	next = failed
	if _, _, err := w.Wake(t.Context(), 7); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if err := w.Close(func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}
