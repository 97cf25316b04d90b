package bench

import (
	"fmt"
	"slices"
	"time"
)

// tally has the counts of one loop.
type tally struct {
	latency latencies
	ops     uint64        // measured replies, right or wrong
	span    time.Duration // measured time
	unsent  uint64        // open loop: requests that were due and were not sent

	// in all phases
	errors    uint64 // wrong replies and requests without a reply
	misses    uint64 // keys and indexes that did not exist
	added     uint64 // elements appended and inserted
	removed   uint64 // elements popped
	increased uint64 // increments done
	counted   int64  // sum of the counters read
	messages  []string
}

// keptMessages is how many errors are described.
const keptMessages = 3

// fail counts errors. It keeps the message if it is new and one of the first.
func (t *tally) fail(count int, format string, args ...any) {
	t.errors += uint64(count)
	if count > 0 && len(t.messages) < keptMessages {
		t.keepMessage(fmt.Sprintf(format, args...))
	}
}

func (t *tally) keepMessage(message string) {
	if len(t.messages) < keptMessages && !slices.Contains(t.messages, message) {
		t.messages = append(t.messages, message)
	}
}

// add adds the counts of other.
func (t *tally) add(other *tally) {
	t.latency.add(&other.latency)
	t.ops += other.ops
	t.span = max(t.span, other.span)
	t.unsent += other.unsent
	t.errors += other.errors
	t.misses += other.misses
	t.added += other.added
	t.removed += other.removed
	t.increased += other.increased
	t.counted += other.counted
	for _, message := range other.messages {
		t.keepMessage(message)
	}
}
