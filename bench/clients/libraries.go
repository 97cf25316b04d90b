package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"cyberdb-fast/bench"
	"cyberdb-fast/bench/goclient"
)

// Names of the libraries.
const (
	cyberdbClient = "cyberdb"
	goRedis       = "go-redis"
	rueidisClient = "rueidis"
)

// opener connects a library to the options' target.
type opener func(o *bench.Options) (library *bench.Library, end func() error, err error)

var libraries = map[string]opener{cyberdbClient: goclient.Open, goRedis: openGoRedis, rueidisClient: openRueidis}

// libraryNames returns the names, cyberdb-fast's own client first: the others are compared with it.
func libraryNames() []string { return []string{cyberdbClient, rueidisClient, goRedis} }

// wakePool is the size of go-redis' pool where callers wait.
const wakePool = 2000

// openGoRedis connects go-redis with its usual pool, whose connections serve one caller at a time.
func openGoRedis(o *bench.Options) (*bench.Library, func() error, error) {
	options := &redis.Options{Addr: o.Target.Address}
	if o.Op == bench.OpWake {
		options.PoolSize = wakePool // each waiter occupies a connection
	}
	c := redis.NewClient(options)
	ours := &redisCalls{
		queue: o.Table,
		setNX: func(ctx context.Context, key, token string) error { return c.SetNX(ctx, key, token, lockTime).Err() },
		release: func(ctx context.Context, key, token string) (int64, error) {
			return releaseScript.Run(ctx, c, []string{key}, token).Int64()
		},
		move: func(ctx context.Context, from, to string) (string, error) {
			v, err := c.LMove(ctx, from, to, "left", "right").Result()
			if errors.Is(err, redis.Nil) {
				err = errEmpty
			}
			return v, err
		},
		remove: func(ctx context.Context, from, v string) (int64, error) { return c.LRem(ctx, from, 1, v).Result() },
		push:   func(ctx context.Context, to, v string) error { return c.RPush(ctx, to, v).Err() },
		wait:   func(ctx context.Context, from string) error { return c.BLPop(ctx, 0, from).Err() },
	}
	return &bench.Library{
		Name: "go-redis", Connections: c.Options().PoolSize,
		Get:   func(ctx context.Context, key string) (string, error) { return c.Get(ctx, key).Result() },
		Set:   func(ctx context.Context, key, value string) error { return c.Set(ctx, key, value, 0).Err() },
		Calls: ours.calls(),
	}, func() error { return ours.waiters.Close(c.Close) }, nil
}

// openRueidis connects rueidis with its usual settings, which pipeline all callers' commands over a
// few connections, but without its client-side cache, which would bypass the server.
func openRueidis(o *bench.Options) (*bench.Library, func() error, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{o.Target.Address}, DisableCache: true})
	if err != nil {
		return nil, nil, err
	}
	script := rueidis.NewLuaScript(releaseSource)
	ours := &redisCalls{
		queue: o.Table,
		setNX: func(ctx context.Context, key, token string) error {
			return c.Do(ctx, c.B().Set().Key(key).Value(token).Nx().Px(lockTime).Build()).Error()
		},
		release: func(ctx context.Context, key, token string) (int64, error) {
			return script.Exec(ctx, c, []string{key}, []string{token}).AsInt64()
		},
		move: func(ctx context.Context, from, to string) (string, error) {
			v, err := c.Do(ctx, c.B().Lmove().Source(from).Destination(to).Left().Right().Build()).ToString()
			if rueidis.IsRedisNil(err) {
				err = errEmpty
			}
			return v, err
		},
		remove: func(ctx context.Context, from, v string) (int64, error) {
			return c.Do(ctx, c.B().Lrem().Key(from).Count(1).Element(v).Build()).AsInt64()
		},
		push: func(ctx context.Context, to, v string) error {
			return c.Do(ctx, c.B().Rpush().Key(to).Element(v).Build()).Error()
		},
		wait: func(ctx context.Context, from string) error {
			return c.Do(ctx, c.B().Blpop().Key(from).Timeout(0).Build()).Error()
		},
	}
	return &bench.Library{
		Name: "rueidis",
		Get: func(ctx context.Context, key string) (string, error) {
			return c.Do(ctx, c.B().Get().Key(key).Build()).ToString()
		},
		Set: func(ctx context.Context, key, value string) error {
			return c.Do(ctx, c.B().Set().Key(key).Value(value).Build()).Error()
		},
		Calls: ours.calls(),
	}, func() error { return ours.waiters.Close(func() error { c.Close(); return nil }) }, nil
}

// The lock of Redis's own documentation, which its libraries build on: SET NX with a token, and a
// script that deletes the key if it still has that token. Waiting, renewal and fences are not in
// it.
const (
	lockTime      = 30 * time.Second
	releaseSource = `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0`
)

var (
	releaseScript = redis.NewScript(releaseSource)
	errEmpty      = errors.New("the list is empty")
)

// redisCalls are commands of Redis by one of its libraries.
type redisCalls struct {
	queue string

	setNX   func(ctx context.Context, key, token string) error
	release func(ctx context.Context, key, token string) (int64, error)
	move    func(ctx context.Context, from, to string) (string, error) // errEmpty
	remove  func(ctx context.Context, from, v string) (int64, error)
	push    func(ctx context.Context, to, v string) error
	wait    func(ctx context.Context, from string) error

	waiters *bench.Waiters
}

func (r *redisCalls) calls() map[bench.Op]bench.Call {
	r.waiters = bench.NewWaiters(
		func(ctx context.Context, caller int) error { return r.push(ctx, r.wakeList(caller), "wake up") },
		func(ctx context.Context, caller int) error { return r.wait(ctx, r.wakeList(caller)) },
	)
	return map[bench.Op]bench.Call{bench.OpLock: r.lock, bench.OpTake: r.take, bench.OpWake: r.waiters.Wake}
}

func (r *redisCalls) wakeList(caller int) string { return fmt.Sprintf("%s.wake.%d", r.queue, caller) }

func (r *redisCalls) lock(ctx context.Context, caller int) (time.Duration, bool, error) {
	key := fmt.Sprintf("%s.lock.%d", r.queue, caller)
	token := rand.Text()
	if err := r.setNX(ctx, key, token); err != nil {
		return 0, true, err
	}
	n, err := r.release(ctx, key, token)
	if err == nil && n != 1 {
		err = errors.New("the lock was lost")
	}
	return 0, true, err
}

// take moves the first element to a list of the caller, and removes it from there.
func (r *redisCalls) take(ctx context.Context, caller int) (time.Duration, bool, error) {
	taken := fmt.Sprintf("%s.taken.%d", r.queue, caller)
	v, err := r.move(ctx, r.queue, taken)
	if errors.Is(err, errEmpty) {
		return 0, false, nil
	}
	if err != nil {
		return 0, true, err
	}
	n, err := r.remove(ctx, taken, v)
	if err == nil && n != 1 {
		err = errors.New("the element is gone")
	}
	return 0, true, err
}
