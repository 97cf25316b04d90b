package main

import (
	"context"
	"errors"

	"cyberdb-fast/bench"
	"cyberdb-fast/client"
)

// clientConns is how many connections the Go client keeps by default.
const clientConns = 2

// runCallers measures the Go client.
func runCallers(ctx context.Context, o bench.Options, goroutines int) (_ *bench.Report, err error) {
	if o.Target.Scheme != bench.SchemeNative {
		return nil, usagef("--callers drives the Go client: give it a cyberdb target, not %s", o.Target)
	}
	address := o.Target.Address
	if o.Target.Network == "unix" {
		address = "unix:" + address
	}
	c, err := client.New(
		client.Options{Addr: address, Password: o.Password, Encrypt: o.Target.Encrypt, Conns: clientConns},
	)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	dict := client.DictOf[string, string](c, o.Table)
	return bench.RunCallers(
		ctx,
		o,
		goroutines,
		&bench.Library{Name: "cyberdb-fast Go client", Connections: clientConns, Get: dict.Get, Set: dict.Set},
	)
}
