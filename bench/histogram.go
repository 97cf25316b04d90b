package bench

import (
	"math/bits"
	"time"
)

// Layout of a histogram: values below 2^subBits have a bucket each; above, every power of two is cut into 2^subBits equal buckets, so a bucket
// is at most 1/128 of its values wide.
const (
	subBits    = 7
	subBuckets = 1 << subBits
	topBit     = 40 // values from 2^40 ns, 18 minutes, share the last bucket
	buckets    = (topBit - subBits + 1) * subBuckets
)

// histogram counts durations in nanoseconds with a relative error of at most 1/128. The zero value is empty and ready. One goroutine at a time.
type histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

func bucketOf(ns uint64) int {
	if ns < subBuckets {
		return int(ns)
	}
	shift := bits.Len64(ns) - 1 - subBits
	return min(shift*subBuckets+int(ns>>shift), buckets-1)
}

// highest returns the largest value of a bucket.
func highest(bucket int) uint64 {
	if bucket < subBuckets {
		return uint64(bucket)
	}
	shift := bucket/subBuckets - 1
	return uint64(bucket%subBuckets+subBuckets+1)<<shift - 1
}

// record counts one duration; a negative one counts as zero.
func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// add counts everything that other has counted.
func (h *histogram) add(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// percentile returns the smallest bucket end that at least p percent of the durations do not exceed, never above the
// largest duration counted; 0 if there is none.
func (h *histogram) percentile(p float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(float64(h.total)*p/100+0.5), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(time.Duration(highest(i)), h.max)
		}
	}
	return h.max
}
