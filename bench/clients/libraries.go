package main

import (
	"context"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"cyberdb-fast/bench"
	"cyberdb-fast/client"
)

// Names of the libraries.
const (
	cyberdbClient = "cyberdb"
	goRedis       = "go-redis"
	rueidisClient = "rueidis"
)

// opener connects a library to the options' target.
type opener func(o *bench.Options) (library *bench.Library, end func() error, err error)

var libraries = map[string]opener{cyberdbClient: openCyberDB, goRedis: openGoRedis, rueidisClient: openRueidis}

// libraryNames returns the names, cyberdb-fast's own client first: the others are compared with it.
func libraryNames() []string { return []string{cyberdbClient, rueidisClient, goRedis} }

// openCyberDB connects the Go client with its usual settings.
func openCyberDB(o *bench.Options) (*bench.Library, func() error, error) {
	const connections = 2
	c, err := client.New(client.Options{Addr: o.Target.Address, Password: o.Password, Conns: connections})
	if err != nil {
		return nil, nil, err
	}
	dict := client.DictOf[string, string](c, o.Table)
	return &bench.Library{
		Name:        "cyberdb-fast Go client",
		Connections: connections,
		Get:         dict.Get,
		Set:         dict.Set,
	}, c.Close, nil
}

// openGoRedis connects go-redis with its usual pool, whose connections serve one caller at a time.
func openGoRedis(o *bench.Options) (*bench.Library, func() error, error) {
	c := redis.NewClient(&redis.Options{Addr: o.Target.Address})
	return &bench.Library{
		Name: "go-redis", Connections: c.Options().PoolSize,
		Get: func(ctx context.Context, key string) (string, error) { return c.Get(ctx, key).Result() },
		Set: func(ctx context.Context, key, value string) error { return c.Set(ctx, key, value, 0).Err() },
	}, c.Close, nil
}

// openRueidis connects rueidis with its usual settings, which pipeline all callers' commands over a
// few connections, but without its client-side cache, which would bypass the server.
func openRueidis(o *bench.Options) (*bench.Library, func() error, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{o.Target.Address}, DisableCache: true})
	if err != nil {
		return nil, nil, err
	}
	return &bench.Library{
		Name: "rueidis",
		Get: func(ctx context.Context, key string) (string, error) {
			return c.Do(ctx, c.B().Get().Key(key).Build()).ToString()
		},
		Set: func(ctx context.Context, key, value string) error {
			return c.Do(ctx, c.B().Set().Key(key).Value(value).Build()).Error()
		},
	}, func() error { c.Close(); return nil }, nil
}
