package stats_test

import (
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/stats"
)

// BenchmarkPart is what recording costs a part of so many requests.
func BenchmarkPart(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(time.Duration(n).String(), func(b *testing.B) {
			r := stats.NewRecorder()
			const tag = 1<<10 | 1
			b.ReportAllocs()
			for range b.N {
				for range n {
					r.Request(codec.OpDictGet, codec.StatusOK, 40, 110, tag, 1, 0)
				}
				r.EndPart(50 * time.Microsecond)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/request")
		})
	}
}
