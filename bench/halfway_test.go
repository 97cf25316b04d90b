package bench

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHalfway runs a command in the middle of a run: what was done before, during and after it adds
// up to the run.
func TestHalfway(t *testing.T) {
	o := startFake(t, &fakeServer{})
	mark := filepath.Join(t.TempDir(), "mark")
	o.Duration, o.Threads = 600*time.Millisecond, 2
	o.Halfway = "sleep 0.1; echo done > " + mark
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(mark); err != nil || string(text) != "done\n" {
		t.Fatalf("the command has left %q: %v", text, err)
	}
	h := r.Halfway
	if h == nil || h.Start < 0.3 || h.During.Seconds < 0.1 {
		t.Fatalf("measured %+v", h)
	}
	ops := 0.0
	for _, s := range []Stage{h.Before, h.During, h.After} {
		if s.P50 <= 0 || s.P50 > s.P99 || s.P99 > s.P999 || s.P999 > s.Max || s.Max > r.Max {
			t.Errorf("figures do not fit together: %+v", s)
		}
		ops += s.OpsPerSecond * s.Seconds
	}
	if off := ops / float64(r.Ops); off < 0.95 || off > 1.05 {
		t.Errorf("%.0f operations in all stages, %d in the run", ops, r.Ops)
	}
	var text strings.Builder
	if err := r.WriteTable(&text); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"halfway ", "before it ", "during it ", "after it "} {
		if !strings.Contains(text.String(), row) {
			t.Errorf("no line %q in\n%s", row, text.String())
		}
	}
	if all := SummarizeHalfway(
		[]*Report{r, {}, r},
	); len(all) != 1 || all[0].Runs != 2 ||
		all[0].Stages[stageDuring] != h.During {
		t.Errorf("the summary of two equal runs is %+v", all)
	}
}

// TestHalfwayFails: a command that fails, or takes too long, is an error.
func TestHalfwayFails(t *testing.T) {
	for command, want := range map[string]string{"exit 3": "exit status 3", "sleep 0.5": "give more -d"} {
		o := startFake(t, &fakeServer{})
		o.Duration, o.Halfway = 200*time.Millisecond, command
		if _, err := Run(
			context.Background(),
			o,
		); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), command) {
			t.Errorf("%s: %v, want %q", command, err, want)
		}
	}
}
