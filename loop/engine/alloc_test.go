package engine

import (
	"log/slog"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/shardmap"
)

// TestRequestAllocations: a request's whole way from its frame to its reply allocates nothing for a
// read, nor for an overwrite.
func TestRequestAllocations(t *testing.T) {
	x := New(Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)}).NewExecutor()
	out := make([]byte, 0, 4<<10)
	request := func(op codec.Opcode, args ...any) (frame []byte) {
		for _, arg := range args {
			frame, _ = govalue.Append(frame, arg)
		}
		return codec.AppendRequest(nil, &codec.Request{ID: 1, Op: op, Args: frame})
	}
	execute := func(frame []byte) {
		req, _, err := codec.ParseRequest(frame)
		if x.Execute(out[:0], &req, err); x.Status != codec.StatusOK || x.Outcome != Answered {
			t.Fatal(x.Status)
		}
	}
	execute(request(codec.OpCreateDict, "d", false, "0123456789abcdef", "a value of some thirty-two bytes"))
	for _, frame := range [][]byte{
		request(codec.OpDictGet, "d", "0123456789abcdef"),
		request(codec.OpDictContains, "d", "0123456789abcdef"),
		request(codec.OpDictSet, "d", "0123456789abcdef", "another of some thirty-two bytes"),
	} {
		if allocs := testing.AllocsPerRun(1000, func() { execute(frame) }); allocs != 0 {
			t.Errorf("%v: %v allocations", codec.Opcode(frame[8]), allocs)
		}
	}
}
