package loop

import (
	"sync/atomic"

	"cyberdb-fast/codec"
)

// waitingCommands may wait. They are shown if none does, too.
var waitingCommands = []codec.Opcode{
	codec.OpDictGetOrCompute, codec.OpListPop, codec.OpListPopLeft, codec.OpListTake, codec.OpLock, codec.OpReceive,
}

// waitCounts counts the requests that wait.
type waitCounts struct {
	all atomic.Int64
	by  [256]atomic.Int64 // by opcode
}

func (c *waitCounts) add(op codec.Opcode, n int64) {
	c.all.Add(n)
	c.by[op].Add(n)
}

// Load returns how many requests wait.
func (c *waitCounts) Load() int64 { return c.all.Load() }

// byCommand returns how many wait of each command.
func (c *waitCounts) byCommand() map[string]int64 {
	counts := map[string]int64{}
	for _, op := range waitingCommands {
		counts[op.String()] = 0
	}
	for op := range c.by {
		if n := c.by[op].Load(); n > 0 {
			counts[codec.Opcode(op).String()] = n
		}
	}
	return counts
}
