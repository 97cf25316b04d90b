//go:build broken

package loop

import (
	"testing"

	"cyberdb-fast/shardmap"
)

// TestQueuesCatch: TestQueuesLinearizable finds acknowledgements that do not look whether their
// lease goes on.
func TestQueuesCatch(t *testing.T) {
	if err := shardmap.Break("ack", true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shardmap.Break("ack", false) })
	if queueHistories(t, 50) == nil {
		t.Error("50 histories have an order")
	}
}
