package bench

import (
	"context"
	"sync"
	"time"
)

// Waiters measure how long a waiter takes to wake up: OpWake. Each caller has one, which runs in a
// goroutine of its own.
type Waiters struct {
	push, wait func(ctx context.Context, caller int) error // constant

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	woken   map[int]chan error // of each caller; guarded by mu
}

// NewWaiters returns Waiters. push adds an element for the caller's waiter; wait waits for one, as
// long as ctx allows.
func NewWaiters(push, wait func(ctx context.Context, caller int) error) *Waiters {
	w := &Waiters{push: push, wait: wait, woken: map[int]chan error{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// pauseBeforeWake is how long a waiter has to reach the server before it is woken.
const pauseBeforeWake = 2 * time.Millisecond

// Wake wakes the caller's waiter. took is the time from then until it has its element.
func (w *Waiters) Wake(ctx context.Context, caller int) (took time.Duration, more bool, err error) {
	woken := w.waiter(caller)
	time.Sleep(pauseBeforeWake)
	began := time.Now()
	if err := w.push(ctx, caller); err != nil {
		return 0, true, err
	}
	select {
	case err = <-woken:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return time.Since(began), true, err
}

// waiter returns where the caller's waiter says that it was woken.
func (w *Waiters) waiter(caller int) chan error {
	w.mu.Lock()
	defer w.mu.Unlock()
	woken := w.woken[caller]
	if woken == nil {
		woken = make(chan error, 1)
		w.woken[caller] = woken
		w.running.Go(func() {
			for {
				err := w.wait(w.ctx, caller)
				select {
				case woken <- err:
				case <-w.ctx.Done():
					return
				}
			}
		})
	}
	return woken
}

// Close ends the waiters by their context and by the end of the library, which end closes.
func (w *Waiters) Close(end func() error) error {
	w.cancel()
	err := end()
	w.running.Wait()
	return err
}
