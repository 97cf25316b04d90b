package persist

import "time"

// StartByHand is Start without a goroutine: tests call Round, one step after another.
func (j *Journal) StartByHand(next uint64, now int64) error { return j.prepare(next, now) }

// StartByHand is Start without a goroutine: tests call Renew.
func (n *Numbers) StartByHand(clock func() uint64) error {
	err := n.prepare(clock)
	if err == nil {
		close(n.ended)
	}
	return err
}

// Round is one step of the sequencer.
func (j *Journal) Round(now time.Time) { j.Step(now) }

// Operations parses the operations of a record of a segment of some version.
func Operations(version uint16, payload []byte, lsn uint64, time int64) (all []Operation, ok bool) {
	ops := operations{parser: parser{b: payload}, version: version, lsn: lsn, time: time}
	for ops.left() > 0 && !ops.bad {
		var op Operation
		ops.next(&op)
		all = append(all, op)
	}
	return all, !ops.bad
}

// AppendOperation appends an operation as a record of the newest version has it.
func AppendOperation(dst []byte, op *Operation, before int64) []byte {
	return appendOperation(dst, op, before)
}

// RecordHeaderBytes is what a record takes in addition to its payload.
const RecordHeaderBytes = recordHeaderBytes

// SegmentHeaderBytes is what a segment has before its records.
const SegmentHeaderBytes = segmentHeaderBytes
