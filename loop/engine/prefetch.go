package engine

import (
	"bytes"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// A client that pipelines sends many requests at once, and so do many clients together. Before they
// are executed, one after the other, the keys of those that look one up are prefetched together, so
// that the lookups' cache misses overlap.

// maxPrefetch is how many requests are prefetched together.
const maxPrefetch = 32

// Prefetch may be called for each request before it is executed, with the bytes of that request and
// of all after it. It only makes them faster.
func (x *Executor) Prefetch(pending []byte) {
	if x.prefetched == 0 {
		x.prefetched = x.prefetch(pending)
	}
	x.prefetched--
}

// ResetPrefetch says that the next requests are not those that Prefetch was called with.
func (x *Executor) ResetPrefetch() { x.prefetched = 0 }

// prefetch prefetches the complete requests at the front of pending, and returns how many. Their
// errors are found when they are executed.
func (x *Executor) prefetch(pending []byte) int {
	var dict *shardmap.Dict
	var name []byte // of the dict's table, as encoded in a request
	n := 0
	for ; n < maxPrefetch; n++ {
		req, size, err := codec.ParseRequest(pending)
		if err != nil {
			break
		}
		pending = pending[size:]
		if n == 0 && len(pending) == 0 {
			return 1 // on its own
		}
		if !x.engine.commands[req.Op].OnKey {
			continue
		}
		if len(name) == 0 || !bytes.HasPrefix(req.Args, name) {
			dict, name = x.dictOf(req.Args)
		}
		if dict != nil && !x.call.AddPrefetch(dict, req.Args[len(name):]) {
			break
		}
	}
	x.call.Prefetch()
	return max(n, 1)
}

// dictOf returns the dict whose table's name stands at the front of args, and the encoded name; nil
// if there is none.
func (x *Executor) dictOf(args []byte) (*shardmap.Dict, []byte) {
	if msgp.NextType(args) != msgp.StrType {
		return nil, nil
	}
	name, rest, err := msgp.ReadStringZC(args)
	if err != nil || len(rest) == 0 {
		return nil, nil
	}
	table, ok := x.engine.env.Store.Lookup(&x.call, name)
	// the state of a poisoned one is unknown
	if !ok || table.Kind() != shardmap.KindDict || table.Err() != nil {
		return nil, nil
	}
	return table.Dict(), args[:len(args)-len(rest)]
}
