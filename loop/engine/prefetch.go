package engine

import (
	"bytes"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// A client that pipelines sends many requests at once, and many clients do together. Before they
// are executed, one after the other, those that look up a key are looked at together: the lookups'
// cache misses then overlap.

// maxAhead is how many requests are looked at together.
const maxAhead = 32

// Expect may be called for each request before it is executed, with the bytes of it and of all that
// stand behind it. It is for speed alone.
func (x *Executor) Expect(pending []byte) {
	if x.ahead == 0 {
		x.ahead = x.lookAhead(pending)
	}
	x.ahead--
}

// ExpectOthers says that other requests come next than those that Expect was shown.
func (x *Executor) ExpectOthers() { x.ahead = 0 }

// lookAhead looks at the requests that stand complete at the front of pending, and returns how many
// it has looked at. What is wrong with one of them is found when it is executed.
func (x *Executor) lookAhead(pending []byte) int {
	var dict *shardmap.Dict
	var name []byte // of the dict's table, as encoded in a request
	n := 0
	for ; n < maxAhead; n++ {
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

// dictOf returns the dict whose table's name stands at the front of args, and that name as it
// stands there; nil if there is none.
func (x *Executor) dictOf(args []byte) (*shardmap.Dict, []byte) {
	if msgp.NextType(args) != msgp.StrType {
		return nil, nil
	}
	name, rest, err := msgp.ReadStringZC(args)
	if err != nil || len(rest) == 0 {
		return nil, nil
	}
	table, ok := x.engine.env.Store.Lookup(&x.call, name)
	// nobody knows what is in a spoiled one
	if !ok || table.Kind() != shardmap.KindDict || table.Err() != nil {
		return nil, nil
	}
	return table.Dict(), args[:len(args)-len(rest)]
}
