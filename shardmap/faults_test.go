//go:build broken && !race

package shardmap

import (
	"testing"
	"time"
)

// TestCheckerCatches sees that the checker finds stores that are broken on purpose.
func TestCheckerCatches(t *testing.T) {
	cases := []struct {
		name  string
		fault *bool
		trial trialCase
	}{
		{"no handover", &brokenHandover, trialCase{"", 50, 8, false}},
		{"cut reads the clock too early", &brokenCut, trialCase{"", 50, 8, false}},
		{"view assigns an LSN", &brokenView, trialCase{"", 50, 8, false}},
		{"rename without the locks", &brokenRename, trialCase{"", 50, 8, true}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			*c.fault = true
			defer func() { *c.fault = false }()
			pick := seeded(t)
			for range 100 {
				tr := runTrial(pick.Uint64(), c.trial, 200*time.Millisecond)
				if err := tr.check(); err != nil {
					t.Log("caught:", err)
					return
				}
			}
			t.Fatal("the checker saw nothing wrong")
		})
	}
}

// TestListViewCheckerFindsFaults breaks the cut in known ways: the checker must see it.
func TestListViewCheckerFindsFaults(t *testing.T) {
	r := seeded(t)
	for name, fault := range map[string]*bool{"no handover": &brokenHandover, "number before mark": &brokenCut} {
		t.Run(name, func(t *testing.T) {
			*fault = true
			defer func() { *fault = false }()
			for range 40 {
				if _, err := checkListViews(r, 1000); err != nil {
					return
				}
			}
			t.Error("no fault found")
		})
	}
}
