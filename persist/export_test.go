package persist

import "time"

// Manual returns opt for a journal without a flusher of its own: tests call Round, one step after
// another.
func Manual(opt Options) Options {
	opt.manual = true
	return opt
}

// ManualNumbers returns opt for Numbers without a goroutine of their own: tests call Renew.
func ManualNumbers(opt NumbersOptions) NumbersOptions {
	opt.manual = true
	return opt
}

// Round is one round of the flusher.
func (j *Journal) Round(now time.Time) { j.round(now) }

// RecordHeaderBytes is what a record takes beside its payload.
const RecordHeaderBytes = recordHeaderBytes

// SegmentHeaderBytes is what a segment has before its records.
const SegmentHeaderBytes = segmentHeaderBytes
