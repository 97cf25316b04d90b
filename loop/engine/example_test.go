package engine_test

import (
	"bytes"
	"fmt"
	"log/slog"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// request returns a request as a door makes it of what its clients send.
func request(op codec.Opcode, args ...any) *codec.Request {
	req := codec.Request{Op: op}
	for _, arg := range args {
		req.Args, _ = govalue.Append(req.Args, arg)
	}
	parsed, _, err := codec.ParseRequest(codec.AppendRequest(nil, &req))
	if err != nil {
		panic(err)
	}
	return &parsed
}

// show prints a reply of one frame.
func show(frame []byte) {
	reply, _, err := codec.ParseReply(frame)
	if err != nil {
		panic(err)
	}
	if reply.Status != codec.StatusOK {
		e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
		fmt.Println(e)
		return
	}
	for b := reply.Body; len(b) > 0; {
		v, n, err := govalue.Decode(b)
		if err != nil {
			panic(err)
		}
		fmt.Println(v)
		b = b[n:]
	}
}

// A door with a goroutine for each client, as in an HTTP server: every request may block.
func Example() {
	e := engine.New(engine.Env{Store: shardmap.NewStore(), Logger: slog.Default()})
	for _, req := range []*codec.Request{
		request(codec.OpCreateDict, "people", false),
		request(codec.OpDictSet, "people", "ada", 36),
		request(codec.OpDictIncrement, "people", "ada", 1),
		request(codec.OpDictGet, "people", "eve"),
	} {
		reply, _ := e.Do(nil, req)
		show(reply)
	}
	// Output:
	// true
	// 37
	// KeyError: 'eve' (table "people")
}

// A door with an event loop: another goroutine executes what takes long.
func ExampleExecutor_Execute() {
	e := engine.New(engine.Env{Store: shardmap.NewStore(), Logger: slog.Default()})
	x := e.NewExecutor()
	req := request(codec.OpCreateList, "queue", false, "first", "second")
	reply := x.Execute(nil, req, nil)
	switch x.Outcome {
	case engine.Answered:
		show(reply)
	case engine.AwaitsDisk: // keep the reply back until the journal has x.LSN on disk
	case engine.Blocked: // x.Wait says when to execute the request again
	case engine.Background: // go e.Do(nil, the request's clone)
	case engine.Streams: // go x.Stream.Write(the connection), then x.Stream.Close
	}
	// Output: true
}

// changes is a log that is sent to a follower.
type changes chan engine.Operation

func (c changes) Append(lsn, n uint64, time int64, request []byte) {
	c <- engine.Operation{LSN: lsn, N: n, Time: time, Semantics: engine.Semantics, Request: bytes.Clone(request)}
}

// A follower replays its leader's log, and has the same entries, order and versions.
func ExampleReplayer() {
	log := make(changes, 10)
	leader := engine.New(
		engine.Env{Store: shardmap.NewStore(), Logger: slog.Default(), Changes: func() shardmap.Log { return log }},
	)
	leader.Do(nil, request(codec.OpCreateList, "queue", false, "a", "b", "c"))
	leader.Do(nil, request(codec.OpListReverse, "queue"))
	close(log)

	follower := engine.Env{Store: shardmap.NewStore(), Logger: slog.Default()}
	replay := engine.NewReplayer(follower)
	for op := range log {
		if err := replay.Apply(op); err != nil {
			fmt.Println(err)
			return
		}
	}
	reply, _ := engine.New(follower).Do(nil, request(codec.OpListAll, "queue"))
	show(reply)
	// Output:
	// c
	// b
	// a
}
