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

// TestOutputPrepared: a reply that gnet is not given yet counts beside what gnet holds, until it is
// given or the session ends.
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

// TestOutputPauses: a client's requests wait above a limit, which is lower while the budget is
// used up, and go on below half of it. What waits for the disk counts.
func TestOutputPauses(t *testing.T) {
	t.Parallel()
	budget := &replyBudget{limit: softUnreadBytes}
	var o output
	if o.exceeds(budget, softUnreadBytes/2, softUnreadBytes/2) ||
		!o.exceeds(budget, softUnreadBytes/2, softUnreadBytes/2+1) {
		t.Error("the limit is another")
	}
	if o.drained(budget, softUnreadBytes/4, softUnreadBytes/4) ||
		!o.drained(budget, softUnreadBytes/4, softUnreadBytes/4-1) {
		t.Error("it goes on at another amount")
	}
	var other output
	other.count(budget, softUnreadBytes)
	if !o.exceeds(budget, scarceUnreadBytes+1, 0) || !o.drained(budget, scarceUnreadBytes/2-1, 0) {
		t.Error("the lower limit is another")
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
