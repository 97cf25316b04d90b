package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestHistogramAgainstExactPercentiles compares with sorted samples of four distributions.
func TestHistogramAgainstExactPercentiles(t *testing.T) {
	const seed, samples = 20240601, 50_000
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	distributions := map[string]func() time.Duration{
		"small":       func() time.Duration { return time.Duration(random.IntN(300)) },
		"exponential": func() time.Duration { return time.Duration(random.ExpFloat64() * 1e5) },
		"log-uniform": func() time.Duration { return time.Duration(math.Exp2(random.Float64() * topBit)) },
		"two peaks":   func() time.Duration { return time.Duration(1000 + random.IntN(2)*50_000_000) },
	}
	for name, draw := range distributions {
		var h, left, right histogram
		exact := make([]time.Duration, samples)
		for i := range exact {
			exact[i] = draw()
			h.record(exact[i])
			[]*histogram{&left, &right}[i%2].record(exact[i])
		}
		slices.Sort(exact)
		left.add(&right)
		if left != h {
			t.Errorf("%s: the sum of two halves is not the whole", name)
		}
		for _, p := range []float64{0.1, 10, 50, 90, 99, 99.9, 99.99, 100} {
			want := exact[max(int(math.Floor(p/100*samples+0.5)), 1)-1]
			got := h.percentile(p)
			if got < want || float64(got) > float64(want)*(1+1.0/subBuckets) {
				t.Errorf("%s: p%v is %d, exactly %d", name, p, got, want)
			}
		}
		if h.max != exact[samples-1] || h.total != samples {
			t.Errorf("%s: max %d, total %d; want %d, %d", name, h.max, h.total, exact[samples-1], samples)
		}
	}
}

func TestHistogramBucketsMeet(t *testing.T) {
	for b := range buckets - 1 {
		if top := highest(b); bucketOf(top) != b || bucketOf(top+1) != b+1 {
			t.Fatalf("bucket %d ends at %d: that is in %d, the next in %d", b, top, bucketOf(top), bucketOf(top+1))
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	var h histogram
	if got := h.percentile(99); got != 0 {
		t.Errorf("an empty histogram has p99 %v", got)
	}
	h.record(-5)
	if got := h.percentile(50); got != 0 {
		t.Errorf("a negative duration counts as %v", got)
	}
	h.record(math.MaxInt64)
	if got := h.percentile(100); got < 1<<topBit-1<<(topBit-subBits) || h.max != math.MaxInt64 {
		t.Errorf("the longest duration: p100 %v, max %v", got, h.max)
	}
}
