package bench

import (
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Resolution of a histogram: three digits, from 1 ns to ten minutes. Longer latencies count as ten
// minutes.
const (
	longestLatency = 10 * time.Minute
	latencyDigits  = 3
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(longestLatency), latencyDigits)
}

// Each interval of a run has its own histogram, so that the report can show latency over time.
const (
	mostIntervals = 60
	leastInterval = 100 * time.Millisecond
	// of runs that end with a number of requests; after the 60th all go into the last
	countsInterval = time.Second
)

// intervalOf returns the length of the intervals of a run.
func intervalOf(o *Options) time.Duration {
	if o.Requests > 0 {
		return countsInterval
	}
	return max((o.Duration+mostIntervals-1).Truncate(time.Microsecond)/mostIntervals, leastInterval)
}

// latencies are what one loop measures: a histogram for each interval of the measured time. One
// goroutine at a time.
type latencies struct {
	interval time.Duration
	parts    []*hdrhistogram.Histogram // of the intervals so far
	current  *hdrhistogram.Histogram   // the last of them
	max      time.Duration

	// of runs with a command in their middle
	stage  *atomic.Int32 // the current one; nil: there is no command
	stages [stages]*hdrhistogram.Histogram
	staged *hdrhistogram.Histogram // of the current stage
}

// newLatencies returns latencies by intervals, and by stages if stage, the current one, is not nil.
func newLatencies(interval time.Duration, stage *atomic.Int32) latencies {
	first := newHistogram()
	l := latencies{interval: interval, parts: []*hdrhistogram.Histogram{first}, current: first, stage: stage}
	if stage != nil {
		for i := range l.stages {
			l.stages[i] = newHistogram()
		}
	}
	return l
}

// advance sets how long measuring has been going on.
func (l *latencies) advance(elapsed time.Duration) {
	for len(l.parts) < mostIntervals && elapsed >= time.Duration(len(l.parts))*l.interval {
		l.current = newHistogram()
		l.parts = append(l.parts, l.current)
	}
	if l.stage != nil {
		l.staged = l.stages[l.stage.Load()]
	}
}

// record counts one latency; a negative one counts as zero.
func (l *latencies) record(d time.Duration) {
	l.max = max(l.max, d)
	within := int64(min(max(d, 0), longestLatency))
	_ = l.current.RecordValue(within)
	if l.staged != nil {
		_ = l.staged.RecordValue(within)
	}
}

// add adds the counts of other, which has the same intervals.
func (l *latencies) add(other *latencies) {
	l.interval = other.interval
	for i, part := range other.parts {
		if i == len(l.parts) {
			l.parts = append(l.parts, newHistogram())
		}
		l.parts[i].Merge(part)
	}
	for i, part := range other.stages {
		if part == nil {
			continue
		}
		if l.stages[i] == nil {
			l.stages[i] = newHistogram()
		}
		l.stages[i].Merge(part)
	}
	l.max = max(l.max, other.max)
}

// total returns the histogram of the whole run.
func (l *latencies) total() *hdrhistogram.Histogram {
	sum := newHistogram()
	for _, part := range l.parts {
		sum.Merge(part)
	}
	return sum
}
