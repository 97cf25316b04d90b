package persist

import "time"

// StartByHand is Start without a flusher: tests call Round, one step after another.
func (j *Journal) StartByHand(next uint64) error {
	err := j.prepare(next)
	if err == nil {
		close(j.ended)
	}
	return err
}

// StartByHand is Start without a goroutine: tests call Renew.
func (n *Numbers) StartByHand(clock func() uint64) error {
	err := n.prepare(clock)
	if err == nil {
		close(n.ended)
	}
	return err
}

// Round is one round of the flusher.
func (j *Journal) Round(now time.Time) { j.flushOnce(now) }

// RecordHeaderBytes is what a record takes in addition to its payload.
const RecordHeaderBytes = recordHeaderBytes

// SegmentHeaderBytes is what a segment has before its records.
const SegmentHeaderBytes = segmentHeaderBytes
