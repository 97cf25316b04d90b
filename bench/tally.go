package bench

import (
	"fmt"
	"slices"
)

// tally is what one loop has counted.
type tally struct {
	latency  histogram
	ops      uint64 // replies while measuring, right or wrong
	errors   uint64 // wrong replies and requests without a reply, in all phases
	misses   uint64 // keys and indexes that were not there, in all phases
	appended uint64 // appends that were done, in all phases
	messages []string
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
	t.errors += other.errors
	t.misses += other.misses
	t.appended += other.appended
	for _, message := range other.messages {
		t.tell(message)
	}
}
