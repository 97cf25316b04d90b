package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestLatenciesAgainstExactPercentiles compares with sorted samples of four distributions, spread
// over loops and intervals.
func TestLatenciesAgainstExactPercentiles(t *testing.T) {
	const seed, samples, precision = 20240601, 50_000, 1e-3
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	distributions := map[string]func() time.Duration{
		"small":       func() time.Duration { return time.Duration(random.IntN(300)) },
		"exponential": func() time.Duration { return time.Duration(random.ExpFloat64() * 1e5) },
		"log-uniform": func() time.Duration { return time.Duration(math.Exp2(random.Float64() * 38)) },
		"two peaks":   func() time.Duration { return time.Duration(1000 + random.IntN(2)*50_000_000) },
	}
	for name, draw := range distributions {
		loops := []latencies{
			newLatencies(time.Second, nil),
			newLatencies(time.Second, nil),
			newLatencies(time.Second, nil),
		}
		exact := make([]time.Duration, samples)
		for i := range exact {
			exact[i] = draw()
			loop := &loops[i%len(loops)]
			loop.advance(time.Duration(i) * (10 * time.Second) / samples)
			loop.record(exact[i])
		}
		slices.Sort(exact)
		var sum latencies
		for i := range loops {
			sum.add(&loops[i])
		}
		total := sum.total()
		for _, p := range []float64{0.1, 10, 50, 90, 99, 99.9, 99.99, 100} {
			want := exact[max(int(math.Floor(p/100*samples+0.5)), 1)-1]
			got := time.Duration(total.ValueAtQuantile(p))
			if float64(got) < float64(want)*(1-precision)-1 || float64(got) > float64(want)*(1+precision)+1 {
				t.Errorf("%s: p%v is %d, exactly %d", name, p, got, want)
			}
		}
		if sum.max != exact[samples-1] || total.TotalCount() != samples || len(sum.parts) != 10 {
			t.Errorf(
				"%s: max %d of %d, %d samples, %d intervals",
				name,
				sum.max,
				exact[samples-1],
				total.TotalCount(),
				len(sum.parts),
			)
		}
	}
}

func TestLatenciesEdges(t *testing.T) {
	l := newLatencies(time.Millisecond, nil)
	if got := l.total().ValueAtQuantile(99); got != 0 {
		t.Errorf("without a latency p99 is %v", got)
	}
	if all := l.intervals(0); len(all) != 1 || all[0].Ops != 0 {
		t.Errorf("a run of no length has the intervals %+v", all)
	}
	l.record(-5)
	l.record(math.MaxInt64)
	l.advance(time.Hour)
	if got := l.total(); got.TotalCount() != 2 || got.Min() != 0 || time.Duration(got.Max()) < longestLatency ||
		l.max != math.MaxInt64 {
		t.Errorf("%d latencies from %d to %d, max %d", got.TotalCount(), got.Min(), got.Max(), l.max)
	}
	if len(l.parts) != mostIntervals {
		t.Errorf("%d intervals after an hour", len(l.parts))
	}
}

func TestIntervalsLeaveOutTheLastPart(t *testing.T) {
	l := newLatencies(100*time.Millisecond, nil)
	for i := range 5 {
		l.advance(time.Duration(i) * 100 * time.Millisecond)
		for range i + 1 {
			l.record(time.Duration(i+1) * time.Microsecond)
		}
	}
	all := l.intervals(450 * time.Millisecond)
	if len(all) != 4 {
		t.Fatalf("%+v", all)
	}
	for i, part := range all {
		if part.Ops != int64(i+1) || math.Abs(part.P50-float64(i+1)) > 0.01 || part.Start != float64(i)/10 {
			t.Errorf("interval %d: %+v", i, part)
		}
	}
}
