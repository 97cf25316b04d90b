package engine_test

import (
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/shardmap"
)

// door brings requests to an engine as an event loop does, without a connection. It does
// immediately what the executor leaves to others.
type door struct {
	testing.TB
	engine   *engine.Engine
	exec     *engine.Executor
	outcomes [engine.Streams + 1]int // how many requests had each
}

// newDoor returns a door to a new engine with what change adds to its Env.
func newDoor(t testing.TB, change func(env *engine.Env)) *door {
	env := engine.Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&env)
	}
	e := engine.New(env)
	return &door{TB: t, engine: e, exec: e.NewExecutor()}
}

// requests executes requests, complete frames one after another, and returns their complete
// replies.
func (d *door) requests(frames []byte) (replies []codec.Reply) {
	d.Helper()
	for len(frames) > 0 {
		d.exec.Prefetch(frames)
		req, n, err := codec.ParseRequest(frames)
		if errors.Is(err, codec.ErrShort) {
			d.Fatal(err)
		}
		replies = append(replies, d.whole(d.execute(&req, err)))
		frames = frames[n:]
	}
	return replies
}

func (d *door) execute(req *codec.Request, problem error) []byte {
	d.Helper()
	x := d.exec
	out := x.Execute(nil, req, problem)
	d.outcomes[x.Outcome]++
	switch x.Outcome {
	case engine.Background:
		out, _ = d.engine.Do(nil, req)
	case engine.Streams:
		out = d.stream(req, x.Result)
	case engine.Blocked:
		d.Fatal("blocked, and no other request uses the engine")
	case engine.Answered, engine.AwaitsDisk:
	}
	return out
}

// stream makes the reply of a long read in one frame, however long it is.
func (d *door) stream(req *codec.Request, result engine.Result) []byte {
	read := result.Stream
	defer read.Close()
	if read.Begin != nil {
		read.Begin()
	}
	var w body
	if err := read.Write(&w); err != nil {
		reply, _ := d.engine.Fail(nil, req.ID, result, err)
		return reply
	}
	return codec.AppendReply(nil, &codec.Reply{ID: req.ID, Body: w})
}

type body []byte

func (b *body) Write(part []byte) (int, error) {
	*b = append(*b, part...)
	return len(part), nil
}

// whole joins the frames of one reply.
func (d *door) whole(frames []byte) (whole codec.Reply) {
	d.Helper()
	for first := true; len(frames) > 0; first = false {
		frame, n, err := codec.ParseReply(frames)
		if err != nil {
			d.Fatal(err)
		}
		if first {
			whole = frame
			whole.Body = nil
		}
		whole.Body = append(whole.Body, frame.Body...)
		frames = frames[n:]
	}
	return whole
}

// call makes one request.
func (d *door) call(op codec.Opcode, args ...any) codec.Reply {
	d.Helper()
	return d.requests(d.frame(&codec.Request{Op: op}, args...))[0]
}

func (d *door) frame(req *codec.Request, args ...any) []byte {
	d.Helper()
	for _, arg := range args {
		var err error
		if req.Args, err = govalue.Append(req.Args, arg); err != nil {
			d.Fatal(err)
		}
	}
	return codec.AppendRequest(nil, req)
}

// ok is call for a request that succeeds.
func (d *door) ok(op codec.Opcode, args ...any) codec.Reply {
	d.Helper()
	reply := d.call(op, args...)
	if reply.Status != codec.StatusOK {
		e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
		d.Fatalf("%v %.80v: %v", op, args, e)
	}
	return reply
}

// fails is call for a request that is answered this error.
func (d *door) fails(status codec.Status, op codec.Opcode, args ...any) *codec.Error {
	d.Helper()
	reply := d.call(op, args...)
	if reply.Status != status {
		d.Fatalf("%v %.80v: %v, want %v", op, args, reply.Status, status)
	}
	e, err := codec.ParseErrorBody(reply.Status, reply.Body)
	if err != nil {
		d.Fatal(err)
	}
	return e
}

// operations executes operations as one pipeline.
func (d *door) operations(ops []conformance.Operation) []codec.Reply {
	d.Helper()
	var frames []byte
	for i, o := range ops {
		frames = o.Frame(frames, uint32(i))
	}
	return d.requests(frames)
}

// TestConformance compares the engine alone with CPython: all commands on dicts, lists and tables,
// and the replay of their log.
func TestConformance(t *testing.T) {
	t.Parallel()
	var log conformance.Recording
	d := newDoor(t, func(env *engine.Env) { env.Changes = log.NewLog })
	conformance.Check(t, d.operations, conformance.Count(t, 220_000, 20_000))
	for _, outcome := range []engine.Outcome{engine.Answered, engine.Background, engine.Streams} {
		if d.outcomes[outcome] == 0 {
			t.Errorf("no request had outcome %d", outcome)
		}
	}
	store := d.engine.Store()
	again := conformance.Replayed(t, log.Operations(t, store.Clock()))
	conformance.SameText(
		t,
		conformance.StoreText(again),
		conformance.StoreText(store),
	)
}

// TestConformanceInBackground is TestConformance for requests that may all take long.
func TestConformanceInBackground(t *testing.T) {
	t.Parallel()
	d := newDoor(t, nil)
	conformance.Check(t, func(ops []conformance.Operation) (replies []codec.Reply) {
		for _, o := range ops {
			req, _, err := codec.ParseRequest(o.Frame(nil, 1))
			if err != nil {
				t.Fatal(err)
			}
			out, _ := d.engine.Do(nil, &req)
			replies = append(replies, d.whole(out))
		}
		return replies
	}, conformance.Count(t, 60_000, 20_000))
}

// TestLogHasNoDeadlines: a log records a request without its deadline, which is admission, and
// otherwise as it was sent.
func TestLogHasNoDeadlines(t *testing.T) {
	t.Parallel()
	record := func(flags codec.RequestFlags) (recorded []engine.Operation) {
		var log conformance.Recording
		d := newDoor(t, func(env *engine.Env) { env.Changes = log.NewLog })
		d.ok(codec.OpCreateDict, "d", false, "k", 1)
		for i, val := range []any{2, strings.Repeat("x", 2*shardmap.InlineBytes)} {
			req := &codec.Request{Op: codec.OpDictSet, Flags: codec.FlagIfVersion | flags, Deadline: 1000}
			req.IfVersion = uint64(2 + i)
			if reply := d.requests(d.frame(req, "d", "k", val))[0]; reply.Status != codec.StatusOK {
				t.Fatal(reply.Status)
			}
		}
		req := &codec.Request{Op: codec.OpDictPop, Flags: flags, Deadline: 1000}
		if reply := d.requests(d.frame(req, "d", "k"))[0]; reply.Status != codec.StatusOK {
			t.Fatal(reply.Status)
		}
		return log.Operations(t, d.engine.Store().Clock())
	}
	if got, want := record(codec.FlagDeadline), record(0); !reflect.DeepEqual(got, want) {
		t.Error("a deadline is recorded")
	}
}

// TestFollowerLogs: a follower's log is the same as its leader's, so that others can follow it.
func TestFollowerLogs(t *testing.T) {
	t.Parallel()
	var leaders, followers conformance.Recording
	d := newDoor(t, func(env *engine.Env) { env.Changes = leaders.NewLog })
	d.longList("l")
	d.ok(codec.OpListSort, "l", []any{"str", nil}, true)
	d.ok(codec.OpCreateDict, "values", false, "large", strings.Repeat("x", 2*shardmap.InlineBytes))
	d.ok(codec.OpDictGet, "values", "large") // cuts
	d.ok(codec.OpCreateDict, "d", false, "a", 1, "b", 2)
	d.ok(codec.OpDictUpdate, "d", "b", 3, "c", 4)
	last := d.engine.Store().Clock()
	want := leaders.Operations(t, last)
	if slices.ContainsFunc(want, func(o engine.Operation) bool { return len(o.Request) == 0 }) {
		t.Error("an LSN was assigned to no request")
	}

	follower := engine.NewReplayer(
		engine.Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler), Changes: followers.NewLog},
	)
	for _, op := range want {
		if err := follower.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
	if got := followers.Operations(t, last); !reflect.DeepEqual(got, want) {
		t.Errorf("%d operations, want %d", len(got), len(want))
	}
}

// TestReplayLogsDeadlines: a Replayer with a log takes requests that were recorded with a deadline,
// and LSNs of no request after them.
func TestReplayLogsDeadlines(t *testing.T) {
	t.Parallel()
	var log conformance.Recording
	r := engine.NewReplayer(engine.Env{
		Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler), Changes: log.NewLog,
	})
	frame := codec.AppendRequest(nil, &codec.Request{
		Op: codec.OpCreateDict, Flags: codec.FlagDeadline, Args: []byte("\xa1d\xc2"),
	})
	for _, op := range []engine.Operation{{LSN: 1, N: 1, Request: frame[8:]}, {LSN: 2, N: 3}} {
		if err := r.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
	recorded := log.Operations(t, 4)
	if len(recorded) != 2 || string(recorded[0].Request) != "\x10\x00\xa1d\xc2" || recorded[1].N != 3 {
		t.Errorf("%+v", recorded)
	}
}
