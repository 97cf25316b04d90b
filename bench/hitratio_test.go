package bench

import (
	"context"
	"strings"
	"testing"

	"cyberdb-fast/codec"
)

// hitRatios measures one workload on a server that never evicts, after a warm-up of two loops.
func hitRatios(t *testing.T, s *fakeServer, workload string) (*HitReport, error) {
	t.Helper()
	const entries = 500
	o := DefaultHitOptions()
	o.Password = fakePassword
	o.Caches, _ = HitCaches([]Target{startFake(t, s).Target})
	var err error
	if o.Workloads, err = PickHitWorkloads([]string{workload}); err != nil {
		t.Fatal(err)
	}
	o.Entries, o.Warmup, o.Requests = entries, 3*entries, 1000
	return HitRatios(context.Background(), o, nil)
}

func TestHitRatiosOfAServerThatKeepsAll(t *testing.T) {
	for workload, want := range map[string][2]float64{"loop": {100, 100}, "scans": {30, 60}} {
		report, err := hitRatios(t, &fakeServer{cut: 1000}, workload)
		if err != nil {
			t.Fatal(err)
		}
		if got := report.Results[0].Percent; got < want[0] || got > want[1] {
			t.Errorf("%s: %v %% of hits, want %v to %v", workload, got, want[0], want[1])
		}
		if report.Entries != 500 || report.Keys != 5000 {
			t.Errorf("%d entries, %d keys", report.Entries, report.Keys)
		}
	}
}

func TestHitRatiosRefuseAWrongValue(t *testing.T) {
	s := &fakeServer{tamper: func(req codec.Request, reply []byte) []byte {
		if req.Op == codec.OpDictGet && len(reply) > 500 {
			reply[len(reply)-1] ^= 1
		}
		return reply
	}}
	_, err := hitRatios(t, s, "loop")
	if err == nil || !strings.Contains(err.Error(), "where the value of the key should be") {
		t.Error(err)
	}
}

func TestHitWorkloadsRepeat(t *testing.T) {
	const keys, entries, seed = 10_000, 1000, 7
	for _, w := range HitWorkloads() {
		first, second := w.stream(keys, entries, seed), w.stream(keys, entries, seed)
		for range 5000 {
			a, b := first(), second()
			if a != b {
				t.Fatalf("%s: %d and %d", w.Name, a, b)
			}
			if a >= keys && w.Name != "scans" || a >= fillFrom {
				t.Fatalf("%s asks for key %d of %d", w.Name, a, keys)
			}
		}
	}
}

func TestTraceWorkload(t *testing.T) {
	w, keys, requests, err := TraceWorkload("t", strings.NewReader("b\na\nb\n\nc"))
	if err != nil || keys != 4 || requests != 5 {
		t.Fatal(keys, requests, err)
	}
	next := w.stream(keys, 1, 1)
	for i, want := range []uint32{0, 1, 0, 2, 3, 0} {
		if got := next(); got != want {
			t.Errorf("request %d is for key %d, want %d", i, got, want)
		}
	}
}
