package engine

import "cyberdb-fast/shardmap"

// changeLog is an executor's log, and the last number that it was told.
type changeLog struct {
	shardmap.Log
	last uint64
}

// Append implements shardmap.Log.
func (l *changeLog) Append(lsn, n uint64, request []byte) {
	l.last = lsn + n - 1
	l.Log.Append(lsn, n, request)
}

// logTo has the executor log what its requests change.
func (x *Executor) logTo(log shardmap.Log) {
	if log != nil {
		x.log.Log = log
		x.call.Log = &x.log
	}
}

// LastLSN returns the number that was last drawn for a request of this executor and logged; 0:
// none.
func (x *Executor) LastLSN() uint64 { return x.log.last }

// awaits decides whether the reply to a request is to wait for the disk: its log's last number was
// before before it. Reads do not, though they draw a number for a cut. One with the flag DURABLE
// that has changed nothing tells of what others have changed: it waits for what they have done so
// far.
func (x *Executor) awaits(durable bool, before uint64) {
	journal := x.engine.env.Journal
	if !journal.Waits(durable) {
		return
	}
	switch after := x.log.last; {
	case after != before:
		x.Outcome, x.LSN = AwaitsDisk, after
	case durable && x.Status == 0:
		if lsn := x.engine.env.Store.Clock(); lsn > journal.Durable() {
			x.Outcome, x.LSN = AwaitsDisk, lsn
		}
	}
}
