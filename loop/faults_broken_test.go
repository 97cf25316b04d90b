//go:build broken

package loop

import (
	"testing"

	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// breakServer switches on a fault of the engine or of the store, until the process ends.
func breakServer(fault string) error {
	if engine.Break(fault, true) == nil {
		return nil
	}
	return shardmap.Break(fault, true)
}

// TestHistoriesCatch: TestHistories finds a replay that reads a clock, one whose views assign LSNs,
// and one that lets leases and delays begin anew.
func TestHistoriesCatch(t *testing.T) {
	for _, fault := range []string{"clock", "view", "due"} {
		t.Run(fault, func(t *testing.T) {
			h := newHistories(t, fault)
			for i := range uint64(20) {
				if err := h.one(i); err != nil {
					t.Log("caught:", err)
					return
				}
			}
			t.Error("the replays of 20 histories were the same")
		})
	}
}
