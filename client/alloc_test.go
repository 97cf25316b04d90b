//go:build !race

package client

import (
	"context"
	"testing"
	"time"
)

// TestAllocations checks that a Get of a string allocates only the string, and a Set nothing. The
// peer allocates nothing.
func TestAllocations(t *testing.T) {
	d, ctx := benchDict(t), context.Background()
	deadline := testContext(t)
	for _, test := range []struct {
		name string
		most float64
		op   func() error
	}{
		{"Get", 1, func() error { _, err := d.Get(ctx, "key of 16 bytes."); return err }},
		{"Get with a deadline", 1, func() error { _, err := d.Get(deadline, "key of 16 bytes."); return err }},
		{"Set", 0, func() error { return d.Set(ctx, "key of 16 bytes.", "a value") }},
		{"SetWithTTL", 1, func() error { return d.SetWithTTL(ctx, "key of 16 bytes.", "a value", time.Minute) }},
	} {
		got := testing.AllocsPerRun(2000, func() {
			if err := test.op(); err != nil {
				t.Error(err)
			}
		})
		if got > test.most {
			t.Errorf("%s: %v allocations, want at most %v", test.name, got, test.most)
		}
	}
}
