package client

import (
	"context"

	"cyberdb-fast/codec"
)

// durableKey marks a context that Durable has made.
type durableKey struct{}

// Durable returns a context for durable requests: the server replies when the change is on disk,
// whatever its --fsync policy. A change whose request returned without an error then survives a
// power failure. Each request waits for a sync of the server's disk, which concurrent requests
// share. Reads do not wait.
//
//	err := orders.Set(client.Durable(ctx), id, order)
//
// In a Pipeline, the context of Do applies to all of its requests, which usually share one sync.
//
// Errors, besides those of the request: ErrNotDurable if the change was applied but could not be
// written to disk. From then on, every request that changes something returns ErrReadOnly. A server
// without a journal returns ErrBadRequest and changes nothing.
func Durable(ctx context.Context) context.Context { return context.WithValue(ctx, durableKey{}, true) }

// flagsOffset is the offset of the flags in a request frame.
const flagsOffset = 9

// setDurable sets the flag DURABLE of q and the calls after it that may change something, if ctx is
// a Durable one.
func (q *call) setDurable(ctx context.Context) {
	if ctx.Value(durableKey{}) == nil {
		return
	}
	for ; q != nil; q = q.next {
		if !q.retry {
			q.frame[flagsOffset] |= byte(codec.FlagDurable)
		}
	}
}
