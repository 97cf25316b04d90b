package loop

import (
	"io"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// The opcodes of commands that panic, for TestPanic only.
const (
	opPanics codec.Opcode = 0xe0 + iota
	opPanicsInBackground
	opPanicsInView
	opPanicsInStream
)

// TestPanic: a panic in a command closes the connection of its client, is counted, and affects no
// other client.
func TestPanic(t *testing.T) {
	t.Parallel()
	defect := func(*engine.Executor) error { panic("defect") }
	isLong := func(x *engine.Executor) error {
		if x.Call().MayBlock {
			panic("defect")
		}
		return shardmap.ErrLong
	}
	tooLong := func(*engine.Executor) error { return shardmap.ErrLong }
	commands := commandsWith(map[codec.Opcode]engine.Command{
		opPanics:             {Run: defect},
		opPanicsInBackground: {Run: isLong},
		opPanicsInView:       {Run: tooLong, View: func(*engine.Executor) (engine.Stream, error) { panic("defect") }},
		opPanicsInStream: {Run: tooLong, View: func(*engine.Executor) (engine.Stream, error) {
			return engine.Stream{Close: func() {}, Write: func(io.Writer) error { panic("defect") }}, nil
		}},
	})
	srv := startServer(t, func(cfg *Config) { cfg.Commands = commands })
	other := dial(t, srv)
	other.ok(codec.OpCreateDict, "d", false)
	panics := uint64(0)
	for name, c := range map[string]struct {
		op       codec.Opcode
		answered bool
	}{
		"on the loop": {opPanics, false}, "in the background": {opPanicsInBackground, true}, "cutting a view": {opPanicsInView, false}, "in a long read": {opPanicsInStream, true},
	} {
		for range 3 {
			w := dial(t, srv)
			w.ok(codec.OpDictIncrement, "d", name, 1)
			w.write(w.request(c.op))
			reply, err := w.reply()
			if answered := err == nil && reply.Status == codec.StatusInternal; answered != c.answered {
				t.Errorf("%s: %v, %v", name, reply.Status, err)
			}
			if !w.closed() {
				t.Errorf("%s: the connection stays open", name)
			}
			other.ok(codec.OpPing)
			panics++
			if n := srv.Info().Panics; n != panics {
				t.Errorf("%s: INFO counts %d panics, not %d", name, n, panics)
			}
		}
		if got := other.ok(codec.OpDictGet, "d", name); got[0] != int64(3) {
			t.Errorf("%s: requests before it: %v", name, got)
		}
	}
	info := srv.Info()
	if info.Connections != 1 || info.LongRequests != 0 || info.Views != 0 {
		t.Errorf("%d connections, %d long requests, %d views are left", info.Connections, info.LongRequests, info.Views)
	}
}
