package main

import (
	"context"
	"time"

	"cyberdb-fast/client"
)

// lifetime returns a write of a dict that changes when its entries expire. None does while the
// campaign runs: the tables hold what they held, and their digests show the deadlines.
func (a *author) lifetime(name, key, present string, t *table) *write {
	nothing := func(*table) {}
	ttl := time.Duration(1+a.rng.IntN(1000)) * time.Hour
	n := a.rng.IntN(5)
	if len(t.keys) == 0 {
		n = a.rng.IntN(2)
	}
	switch n {
	case 0:
		options := client.DictOptions{TTL: ttl, MaxEntries: 1_000_000 + a.rng.IntN(1000)}
		return &write{
			apply: func(model) {},
			alone: func(ctx context.Context, c *client.Client) error {
				return client.DictOf[string, any](c, name).Configure(ctx, options)
			},
		}
	case 1, 2:
		val := a.value()
		return onDict(name, func(t *table) { t.set(key, val) },
			func(d client.DictPipe[string, any]) answer { return answered(d.SetWithTTL(key, val, ttl), struct{}{}) })
	case 3:
		return onDict(name, nothing,
			func(d client.DictPipe[string, any]) answer { return answered(d.Expire(present, ttl), struct{}{}) })
	}
	return onDict(name, nothing,
		func(d client.DictPipe[string, any]) answer { return answered(d.Persist(present), struct{}{}) })
}
