package engine

import (
	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// changeLog is an executor's log.
type changeLog struct {
	shardmap.Log
	last uint64 // the last LSN that was appended
}

// Append implements shardmap.Log.
func (l *changeLog) Append(lsn, n uint64, time int64, request []byte) {
	l.last = lsn + n - 1
	if len(request) > 0 && codec.HasDeadline(request) {
		request = codec.DropDeadline(request) // a replay does not need it, and it is not parsed again
	}
	l.Log.Append(lsn, n, time, request)
}

// logTo makes the executor log what its requests change.
func (x *Executor) logTo(log shardmap.Log) {
	if log != nil {
		x.log.Log = log
		x.call.Log, x.call.Effects = &x.log, effects{}
	}
}

// LastLSN returns the last LSN that was assigned to a request of this executor and logged; 0: none.
func (x *Executor) LastLSN() uint64 { return x.log.last }

// waitDurable decides whether the reply to a request must wait for the disk. before is the log's
// last LSN before the request. A reply that tells of an earlier request's change waits for that. A
// DURABLE request that wrote nothing waits for the current clock, because its answer may depend on
// other clients' writes.
func (x *Executor) waitDurable(durable bool, before uint64) {
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
	case x.told > journal.Durable():
		x.Outcome, x.LSN = AwaitsDisk, x.told
	}
}
