package engine

import (
	"math"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// What the store removes by itself is logged as a request, which only a replay executes.

// effects implements shardmap.Effects.
type effects struct{}

// Forget implements shardmap.Effects.
func (effects) Forget(dst []byte, table string, reason shardmap.Reason, entries []shardmap.Forgotten) []byte {
	dst = msgp.AppendString(append(dst, byte(codec.OpDictForget), 0), table)
	dst = msgp.AppendInt(dst, int(reason))
	for i := range entries {
		dst = msgp.AppendUint64(dst, entries[i].Place)
		dst = msgp.AppendUint64(dst, entries[i].Version)
		if key := entries[i].Key; key != nil {
			dst = append(dst, key...)
		} else {
			dst = append(dst, codec.Absent)
		}
	}
	return dst
}

// Horizon implements shardmap.Effects.
func (effects) Horizon(dst []byte, table string, lsn uint64) []byte {
	dst = msgp.AppendString(append(dst, byte(codec.OpDictHorizon), 0), table)
	return msgp.AppendUint64(dst, lsn)
}

// Return implements shardmap.Effects.
func (effects) Return(dst []byte, table, deadLetters string, items []shardmap.Returned) []byte {
	dst = msgp.AppendString(append(dst, byte(codec.OpListReturn), 0), table)
	if deadLetters == "" {
		dst = msgp.AppendNil(dst)
	} else {
		dst = msgp.AppendString(dst, deadLetters)
	}
	for _, item := range items {
		dst = msgp.AppendUint64(dst, item.Receipt)
		dst = msgp.AppendInt64(dst, item.Due)
	}
	return dst
}

// CreateList implements shardmap.Effects.
func (effects) CreateList(dst []byte, table string) []byte {
	return msgp.AppendBool(msgp.AppendString(append(dst, byte(codec.OpCreateList), 0), table), false)
}

// dictForget removes entries again that the server removed by itself.
func dictForget(x *Executor) error {
	reason, err := numberArgument(x.args[0])
	if err != nil {
		return err
	}
	entries := make([]shardmap.Forgotten, 0, x.restN/3)
	for b := x.rest; len(b) > 0; {
		var f shardmap.Forgotten
		if f.Place, b, err = takeNumber(b); err == nil {
			f.Version, b, err = takeNumber(b)
		}
		if err != nil {
			return err
		}
		n := 1
		if b[0] != codec.Absent {
			n = value.Size(b)
			f.Key = b[:n]
		}
		entries, b = append(entries, f), b[n:]
	}
	return x.Table.Dict().Forget(&x.call, shardmap.Reason(min(reason, math.MaxUint8)), entries)
}

// dictHorizon moves a horizon again.
func dictHorizon(x *Executor) error {
	lsn, err := numberArgument(x.args[0])
	if err != nil {
		return err
	}
	return x.Table.Dict().SetHorizon(&x.call, lsn)
}

// numberArgument reads an argument of an effect.
func numberArgument(b []byte) (uint64, error) {
	n, _, err := takeNumber(b)
	return n, err
}

// takeNumber takes a number of an effect from the front of b.
func takeNumber(b []byte) (n uint64, rest []byte, err error) {
	if n, rest, err = msgp.ReadUint64Bytes(b); err != nil {
		err = &codec.Error{Status: codec.StatusBadArguments, Message: "a number of an effect: " + err.Error()}
	}
	return n, rest, err
}

// Sweeper removes what has expired. It is for one goroutine.
type Sweeper struct{ x Executor }

// NewSweeper returns a Sweeper, which has a log of its own.
func (e *Engine) NewSweeper() *Sweeper {
	s := &Sweeper{Executor{engine: e, call: shardmap.Call{MayBlock: true}}}
	if e.env.Changes != nil {
		s.x.logTo(e.env.Changes())
	}
	return s
}

// Refused says whether nothing may be removed, because it could not be kept on disk.
func (s *Sweeper) Refused() bool { return s.x.engine.env.Admission.Change() != nil }

// Flush hands to the journal what Sweep has removed.
func (s *Sweeper) Flush() {
	if journal := s.x.engine.env.Journal; journal != nil {
		journal.Flush()
	}
}

// Sweep removes a few entries that have expired at a time; see shardmap.Store.Sweep. It removes
// nothing while nothing may be changed. A panic is reported.
func (s *Sweeper) Sweep(now int64) (more bool) {
	e := s.x.engine
	defer func() {
		if p := recover(); p != nil {
			_ = e.ReportPanic("panic while expired entries were removed", p, &s.x.call)
		}
	}()
	if s.Refused() {
		return false
	}
	s.x.call.Time = now
	_, more = e.env.Store.Sweep(&s.x.call)
	return more
}
