// Package goclient makes the Go client of cyberdb-fast a library that package bench can measure.
package goclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cyberdb-fast/bench"
	"cyberdb-fast/client"
)

// connections is how many the client keeps by default.
const connections = 2

// Open connects the client, with its usual settings, to the options' target. end closes it and
// drops the tables that it made. Errors: those of client.New.
func Open(o *bench.Options) (library *bench.Library, end func() error, err error) {
	address := o.Target.Address
	if o.Target.Network == "unix" {
		address = "unix:" + address
	}
	c, err := client.New(
		client.Options{Addr: address, Password: o.Password, Encrypt: o.Target.Encrypt, Conns: connections},
	)
	if err != nil {
		return nil, nil, err
	}
	dict := client.DictOf[string, string](c, o.Table)
	queues := &wakeQueues{client: c, table: o.Table}
	waiters := bench.NewWaiters(queues.push, queues.wait)
	return &bench.Library{
		Name:        "cyberdb-fast Go client",
		Connections: connections,
		Get:         dict.Get,
		Set:         dict.Set,
		Calls: map[bench.Op]bench.Call{
			bench.OpLock: lock(c),
			bench.OpTake: take(c, o.Table),
			bench.OpWake: waiters.Wake,
		},
	}, func() error { return waiters.Close(func() error { return errors.Join(queues.drop(), c.Close()) }) }, nil
}

// lock takes and releases a lock that no other caller asks for.
func lock(c *client.Client) bench.Call {
	return func(ctx context.Context, caller int) (time.Duration, bool, error) {
		l, err := c.Lock(ctx, fmt.Sprint("bench ", caller), client.LockOptions{})
		if err != nil {
			return 0, true, err
		}
		return 0, true, l.Unlock(ctx)
	}
}

// take takes the first item and acknowledges it.
func take(c *client.Client, table string) bench.Call {
	queue := client.ListOf[string](c, table)
	return func(ctx context.Context, _ int) (time.Duration, bool, error) {
		item, ok, err := queue.Take(ctx, time.Minute, 0)
		if err != nil || !ok {
			return 0, err != nil, err
		}
		return 0, true, queue.Ack(ctx, item.Receipt)
	}
}

// wakeQueues are the lists on which the callers' waiters wait.
type wakeQueues struct {
	client *client.Client
	table  string
	made   sync.Map // by caller: *client.List[string]
}

// queue returns the caller's list, and makes it if there is none.
func (w *wakeQueues) queue(ctx context.Context, caller int) (*client.List[string], error) {
	if q, ok := w.made.Load(caller); ok {
		return q.(*client.List[string]), nil
	}
	q := client.ListOf[string](w.client, fmt.Sprintf("%s.wake.%d", w.table, caller))
	_, err := q.Ensure(ctx)
	if err == nil {
		w.made.Store(caller, q)
	}
	return q, err
}

func (w *wakeQueues) push(ctx context.Context, caller int) error {
	q, err := w.queue(ctx, caller)
	if err != nil {
		return err
	}
	return q.Append(ctx, "wake up")
}

func (w *wakeQueues) wait(ctx context.Context, caller int) error {
	q, err := w.queue(ctx, caller)
	if err != nil {
		return err
	}
	_, err = q.PopLeftWait(ctx, client.Forever)
	return err
}

// drop drops the lists.
func (w *wakeQueues) drop() (err error) {
	w.made.Range(func(_, q any) bool {
		err = errors.Join(err, q.(*client.List[string]).Drop(context.Background()))
		return true
	})
	return err
}
