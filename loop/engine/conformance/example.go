package conformance

import (
	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// Example returns arguments after the table's name for a command of which no more is known than
// its rows in codec.Shapes and engine.Protocol: the key "k" if it acts on one, then 1, 2 and so on,
// as few as the command takes.
func Example(op codec.Opcode) []any {
	args := make([]any, codec.Shapes[op].Min)
	for i := range args {
		args[i] = i + 1
	}
	if len(args) > 0 && engine.Protocol()[op].OnKey {
		args[0] = "k"
	}
	return args
}
