package loop

import (
	"testing"
	"time"
)

// TestOutputCount: the budget counts of all clients what gnet holds for them, and gives it back.
func TestOutputCount(t *testing.T) {
	t.Parallel()
	budget := &replyBudget{limit: 100}
	var a, b output
	for _, n := range []int{0, 70, 30, 60} {
		if a.count(budget, n); a.counted.Load() != int64(n) || budget.bytes.Load() != int64(n) {
			t.Errorf("%d bytes: %d, and %d for all", n, a.counted.Load(), budget.bytes.Load())
		}
	}
	if budget.scarce() || budget.soft() != softUnreadBytes {
		t.Error("scarce below the limit")
	}
	b.count(budget, 41)
	if !budget.scarce() || budget.soft() != scarceUnreadBytes || budget.streamAhead() != scarceUnreadBytes {
		t.Error("not scarce beyond the limit")
	}
	a.count(budget, 0)
	b.count(budget, 0)
	if n := budget.bytes.Load(); n != 0 {
		t.Errorf("%d bytes stay counted", n)
	}
}

// TestOutputStalls: a client stalls while it reads nothing, and not because the disk is slow.
func TestOutputStalls(t *testing.T) {
	t.Parallel()
	const unread = 1000
	var o output
	start := int64(5 * time.Hour)
	later := start + int64(stalledTime) + 1
	stalls := func() bool { return o.over(later, stalledTime) }
	o.look(unread, start)
	o.progress(unread, later, false)
	if !stalls() {
		t.Error("it has read nothing, and does not stall")
	}
	o.progress(unread, later, true)
	if stalls() {
		t.Error("the disk's time counts")
	}
	o.look(unread, start)
	o.progress(unread-1, later, false)
	if stalls() {
		t.Error("it has read, and stalls")
	}
}

// TestOutputStreams: long reads go on beside a large reply, whose end is its own.
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
