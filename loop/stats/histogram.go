package stats

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// maxLatency is the longest time that is told from longer ones.
	maxLatency = time.Minute
	// digits is how many decimal digits of a time are kept.
	digits = 2
)

// Histogram has the distribution of times, in microseconds. The zero value is not ready: see
// NewHistogram.
type Histogram struct {
	counts *hdrhistogram.Histogram
	sum    time.Duration
	max    time.Duration
}

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram {
	return &Histogram{counts: hdrhistogram.New(1, maxLatency.Microseconds(), digits)}
}

// Record records a time n times.
func (h *Histogram) Record(d time.Duration, n int64) {
	d = max(d, 0)
	h.sum += d * time.Duration(n)
	h.max = max(h.max, d)
	_ = h.counts.RecordValues(min(d, maxLatency).Microseconds(), n) // it is in the range
}

// Copy returns a copy.
func (h *Histogram) Copy() *Histogram {
	own := *h
	own.counts = h.counts.Clone()
	return &own
}

// Add adds what another histogram has.
func (h *Histogram) Add(other *Histogram) {
	h.sum += other.sum
	h.max = max(h.max, other.max)
	h.counts.Merge(other.counts)
}

// Latency is what INFO tells of a distribution of times.
type Latency struct {
	Count      int64   `json:"count"`
	SumSeconds float64 `json:"sum_seconds"`
	P50        int64   `json:"p50_us"`
	P90        int64   `json:"p90_us"`
	P99        int64   `json:"p99_us"`
	P999       int64   `json:"p999_us"`
	Max        int64   `json:"max_us"`
	// pairs: seconds, and how many times were no longer than that
	Buckets [][2]float64 `json:"buckets"`
}

// bounds are the upper bounds of the buckets, in microseconds.
var bounds = [...]int64{
	10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
	1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
}

// Latency returns what INFO tells of the histogram.
func (h *Histogram) Latency() Latency {
	l := Latency{
		Count: h.counts.TotalCount(), SumSeconds: h.sum.Seconds(), Max: h.max.Microseconds(),
		Buckets: make([][2]float64, len(bounds)),
	}
	quantiles := h.counts.ValueAtPercentilesSlice([]float64{50, 90, 99, 99.9})
	l.P50, l.P90, l.P99, l.P999 = quantiles[0], quantiles[1], quantiles[2], quantiles[3]
	bars, below := h.counts.Distribution(), int64(0)
	for i, bound := range bounds {
		for len(bars) > 0 && bars[0].From <= bound {
			below += bars[0].Count
			bars = bars[1:]
		}
		l.Buckets[i] = [2]float64{float64(bound) / 1e6, float64(below)}
	}
	return l
}
