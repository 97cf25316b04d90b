package shardmap

import (
	"fmt"
	"math"

	"cyberdb-fast/codec/value"
)

const (
	// A sort may use keyGrowth times the bytes of its list, keyBytes per element and minKeyBytes,
	// for keys and for what is built on the way to them.
	keyGrowth   = 8
	keyBytes    = 128
	minKeyBytes = 1 << 20
	// lendStep is the least memory that a sort borrows at a time.
	lendStep = 256 << 10
	// orderBytes is the memory per element while a list is sorted or reversed.
	orderBytes = 80
)

// unbounded is the work allowed to a call in the background.
const unbounded = math.MaxInt

// sortMeter counts the cost of reordering a list before it is spent.
type sortMeter struct {
	work    int   // left for reading and for making keys, in estimated nanoseconds
	compare int   // left for comparisons, counting both values
	memory  int   // left for keys
	over    error // the error when memory is used up

	lender Memory // nil: no limit
	lent   int
	spare  int // unused part of what was lent
}

// inlineMeter returns the meter of an inline call: beyond its limits the error is ErrLong.
func inlineMeter() *sortMeter {
	return &sortMeter{work: inlineCost, compare: inlineCost, memory: math.MaxInt}
}

// backgroundMeter returns the meter of a call in the background on a list of so many bytes and
// elements. A replayed call has no limits: what succeeded once must succeed again.
func backgroundMeter(c *Call, bytes, elements int) *sortMeter {
	m := &sortMeter{work: unbounded, compare: unbounded, memory: math.MaxInt}
	if c.Replay {
		return m
	}
	m.memory, m.lender = keyGrowth*bytes+keyBytes*elements+minKeyBytes, c.Memory
	m.over = &value.Error{
		Kind: value.ValueError,
		Msg: fmt.Sprintf(
			"sort key needs more than %d bytes for a list of %d elements and %d bytes; use a smaller key",
			m.memory,
			elements,
			bytes,
		),
	}
	return m
}

// spend implements value.Spend.
func (m *sortMeter) spend(work, memory int) error {
	if m.work != unbounded {
		if m.work -= work; m.work < 0 {
			return ErrLong
		}
	}
	if m.memory -= memory; m.memory < 0 {
		return m.over
	}
	return m.borrow(memory)
}

// borrow borrows memory that the limits of keys do not count.
func (m *sortMeter) borrow(memory int) error {
	if m.lender == nil {
		return nil
	}
	if m.spare -= memory; m.spare >= 0 {
		return nil
	}
	more := max(-m.spare, lendStep)
	if err := m.lender.Lend(more); err != nil {
		return err
	}
	m.lent, m.spare = m.lent+more, m.spare+more
	return nil
}

// end returns what was lent.
func (m *sortMeter) end() {
	if m.lent > 0 {
		m.lender.Return(m.lent)
	}
}

// read counts the reading of values. Errors: ErrLong.
func (m *sortMeter) read(values [][]byte) error {
	if m.work == unbounded {
		return nil
	}
	for _, v := range values {
		if m.work -= readCost(v); m.work < 0 {
			return ErrLong
		}
	}
	return nil
}

// compares counts a comparison. It returns false if that exceeds the limit.
func (m *sortMeter) compares(a, b []byte) bool {
	if m.compare == unbounded {
		return true
	}
	m.compare -= readCost(a) + readCost(b)
	return m.compare >= 0
}
