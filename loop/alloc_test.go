package loop

import (
	"testing"

	"cyberdb-fast/codec"
)

// TestRequestAllocations: a request's whole way from its frame to its reply allocates nothing for a read, nor for an overwrite.
func TestRequestAllocations(t *testing.T) {
	srv := startServer(t, nil)
	dial(t, srv).ok(codec.OpCreateDict, "d", false, "0123456789abcdef", "a value of some thirty-two bytes")
	x := executor{srv: srv}
	out := make([]byte, 0, 4<<10)
	for _, test := range []struct {
		op   codec.Opcode
		args []any
	}{
		{codec.OpDictGet, []any{"d", "0123456789abcdef"}},
		{codec.OpDictContains, []any{"d", "0123456789abcdef"}},
		{codec.OpDictSet, []any{"d", "0123456789abcdef", "another of some thirty-two bytes"}},
	} {
		frame := codec.AppendRequest(nil, &codec.Request{ID: 1, Op: test.op, Args: encodeArgs(t, test.args...)})
		allocs := testing.AllocsPerRun(1000, func() {
			req, _, err := codec.ParseRequest(frame)
			if x.reply(out[:0], &req, err); x.status != codec.StatusOK || x.outcome != outcomeAnswered {
				t.Fatal(x.status)
			}
		})
		if allocs != 0 {
			t.Errorf("%v: %v allocations", test.op, allocs)
		}
	}
}
