package client

import (
	"context"

	"cyberdb-fast/codec"
)

// durableKey marks a context that Durable has made.
type durableKey struct{}

// Durable returns a context for requests whose changes are to be on disk before their replies come,
// whatever the server's policy (--fsync): what has returned without an error is not lost, by a
// power cut either. It costs a sync of the server's disk, which requests share; reads do not wait.
//
//	err := orders.Set(client.Durable(ctx), id, order)
//
// For a Pipeline it is Do's context that counts, for all of its requests; they share one sync,
// mostly.
//
// Errors, besides those of the request: ErrNotDurable if the change is made and could not be
// written to disk; ErrReadOnly, from then on, of every request that changes something;
// ErrBadRequest, with nothing changed, from a server that keeps no journal.
func Durable(ctx context.Context) context.Context { return context.WithValue(ctx, durableKey{}, true) }

// flagsOffset is where a request frame has its flags.
const flagsOffset = 9

// demand asks for what ctx does: the flag DURABLE of each request, from q on, that may change
// something.
func (q *call) demand(ctx context.Context) {
	if ctx.Value(durableKey{}) == nil {
		return
	}
	for ; q != nil; q = q.next {
		if !q.retry {
			q.frame[flagsOffset] |= byte(codec.FlagDurable)
		}
	}
}
