package bench

import (
	"fmt"
	"slices"
	"time"
)

// tally is what one loop has counted.
type tally struct {
	latency latencies
	ops     uint64        // replies that count, right or wrong
	span    time.Duration // measured time
	unsent  uint64        // open loop: requests that were due and found no room

	// in all phases
	errors    uint64 // wrong replies and requests without a reply
	misses    uint64 // keys and indexes that were not there
	added     uint64 // elements appended and inserted
	removed   uint64 // elements popped
	increased uint64 // increments done
	counted   int64  // sum of the counters read
	messages  []string
}

// keptMessages is how many errors are told in words.
const keptMessages = 3

// fail counts errors; what format and args say is kept if it is new and one of the first.
func (t *tally) fail(count int, format string, args ...any) {
	t.errors += uint64(count)
	if count > 0 && len(t.messages) < keptMessages {
		t.tell(fmt.Sprintf(format, args...))
	}
}

func (t *tally) tell(message string) {
	if len(t.messages) < keptMessages && !slices.Contains(t.messages, message) {
		t.messages = append(t.messages, message)
	}
}

// add counts everything that other has counted.
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
		t.tell(message)
	}
}
