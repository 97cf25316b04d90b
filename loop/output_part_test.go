package loop

import (
	"testing"
	"time"
)

// TestOutputCount: the budget counts the bytes in gnet's buffers of all clients, and no others.
func TestOutputCount(t *testing.T) {
	t.Parallel()
	budget := &replyBudget{limit: 100}
	var a, b output
	for _, n := range []int{0, 70, 30, 60} {
		if a.count(budget, n); a.counted.Load() != int64(n) || budget.bytes.Load() != int64(n) {
			t.Errorf("%d bytes: %d, and %d for all", n, a.counted.Load(), budget.bytes.Load())
		}
	}
	if budget.overLimit() || budget.soft() != softOutputBytes {
		t.Error("over the limit below it")
	}
	b.count(budget, 41)
	if !budget.overLimit() || budget.soft() != overLimitOutputBytes || budget.streamAhead() != overLimitOutputBytes {
		t.Error("not over the limit beyond it")
	}
	a.count(budget, 0)
	b.count(budget, 0)
	if n := budget.bytes.Load(); n != 0 {
		t.Errorf("%d bytes stay counted", n)
	}
}

// TestOutputPrepared: a reply that gnet is not given yet counts too, until gnet is given it or the
// session ends.
func TestOutputPrepared(t *testing.T) {
	t.Parallel()
	budget := &replyBudget{limit: 1000}
	var o output
	o.count(budget, 10)
	o.prepare(budget, 500)
	if n := budget.bytes.Load(); n != 510 {
		t.Errorf("%d bytes are counted", n)
	}
	o.count(budget, 20)
	if n := budget.bytes.Load(); n != 520 {
		t.Errorf("%d bytes are counted once gnet holds more", n)
	}
	o.prepare(budget, 0)
	if n := budget.bytes.Load(); n != 20 {
		t.Errorf("%d bytes are counted once the reply was given", n)
	}
	o.prepare(budget, 500)
	o.drop(budget)
	if n := budget.bytes.Load(); n != 0 || o.counted.Load() != 0 {
		t.Errorf("%d bytes stay counted", n)
	}
}

// TestOutputPauses: a client's requests wait above a limit, which is lower while the budget is used
// up, and continue below half of it. Replies that wait for the disk count.
func TestOutputPauses(t *testing.T) {
	t.Parallel()
	budget := &replyBudget{limit: softOutputBytes}
	var o output
	const half, quarter = softOutputBytes / 2, softOutputBytes / 4
	if o.exceeds(budget, half, half) || !o.exceeds(budget, half, half+1) {
		t.Error("the limit is another")
	}
	if o.drained(budget, quarter, quarter) || !o.drained(budget, quarter, quarter-1) {
		t.Error("the lower bound is another")
	}
	var other output
	other.count(budget, softOutputBytes)
	if !o.exceeds(budget, overLimitOutputBytes+1, 0) || !o.drained(budget, overLimitOutputBytes/2-1, 0) {
		t.Error("the lower limit is another")
	}
}

// TestOutputStalls: a client that reads nothing stalls, unless it only waits for a slow disk.
func TestOutputStalls(t *testing.T) {
	t.Parallel()
	const unacknowledged = 1000
	var o output
	start := int64(5 * time.Hour)
	later := start + int64(stalledTime) + 1
	stalls := func() bool { return o.over(later, stalledTime) }
	o.recordUnacknowledged(unacknowledged, start)
	o.progress(unacknowledged, later, false)
	if !stalls() {
		t.Error("it has read nothing, and does not stall")
	}
	o.progress(unacknowledged, later, true)
	if stalls() {
		t.Error("the disk's time counts")
	}
	o.recordUnacknowledged(unacknowledged, start)
	o.progress(unacknowledged-1, later, false)
	if stalls() {
		t.Error("it has read, and stalls")
	}
}

// TestOutputStreams: long reads and a large reply are counted apart.
func TestOutputStreams(t *testing.T) {
	t.Parallel()
	var o output
	o.beginStream(false)
	o.beginStream(true)
	o.endStream(false)
	if o.streams != 1 || !o.large {
		t.Errorf("%d streams, large %v", o.streams, o.large)
	}
	o.endStream(true)
	if o.streams != 0 || o.large {
		t.Errorf("%d streams, large %v", o.streams, o.large)
	}
}
