package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// LoadMark is the payload that a log records when all tables were replaced by a load: it is no
// request, and cannot be replayed.
const LoadMark = "load"

// Semantics is the version of the command semantics: what requests do to tables. A change after
// which the replay of an older log would leave other tables must raise it, and keep the old effect
// for operations of lower versions.
const Semantics = 1

// Operation is one entry of a log: a request that was executed, and all that its effect depends on
// besides the tables.
type Operation struct {
	LSN, N     uint64 // its first LSN, and how many it has
	Time       int64  // of the store when it was executed, milliseconds since 1970 UTC; 0: unknown
	Semantics  uint64 // the version by which it was executed; 0: recorded before there were versions
	Extensions []byte // (tag varuint | length varuint | bytes)*; see Replayer.Apply
	Request    []byte // codec.Request.Payload; empty: its LSNs belong to no request
}

// Replayer executes recorded requests again, through the command table and the executor as every
// request.
//
// The effect of a recorded request depends only on its Operation and the tables before it: not on
// the clock, on limits or on the machine. So each request finds what it found before, gets the same
// LSNs, and leaves the same entries, versions and places. A Replayer is for one goroutine, and no
// other goroutine may use the store meanwhile.
type Replayer struct {
	x       Executor
	out     []byte
	skip    map[uint64]bool // LSNs of requests that are not replayed
	skipped int             // see Skipped
	time    int64           // the highest of the operations, 0 if it is unknown; see mark
	marked  int64           // the time of the last mark
}

// PartiallyAppliedError is returned for a recorded request that panics in the middle of its change,
// so that the state of its table is unknown. The caller replays everything again, without the
// request.
type PartiallyAppliedError struct {
	LSN   uint64
	Op    codec.Opcode
	Table string
	Panic any
}

func (e *PartiallyAppliedError) Error() string {
	return fmt.Sprintf("a panic in the middle of its change of table %q: %v", e.Table, e.Panic)
}

// replayPanic is the panic of a replayed request.
type replayPanic struct {
	what     any
	poisoned *shardmap.Table // nil: its change is complete, or not begun
}

func (p *replayPanic) Error() string { return fmt.Sprintf("panic: %v", p.what) }

// NewReplayer returns a Replayer for the store of an Env, which is empty or restored from a
// snapshot. It uses the Env's commands, its logger and, if it has one, its log, to which it appends
// what it replays.
func NewReplayer(env Env) *Replayer {
	e := New(Env{Store: env.Store, Logger: env.Logger, Commands: env.Commands})
	r := &Replayer{x: Executor{engine: e, call: shardmap.Call{MayBlock: true, Replay: true}}}
	if env.Changes != nil {
		r.x.logTo(env.Changes())
	}
	return r
}

// Skip makes Apply skip the requests with these first LSNs: see PartiallyAppliedError.
func (r *Replayer) Skip(lsns map[uint64]bool) { r.skip = lsns }

// Skipped returns how many requests were not replayed, because of Skip or because they panicked
// before they got an LSN.
func (r *Replayer) Skipped() int { return r.skipped }

// Panics returns how many requests have panicked.
func (r *Replayer) Panics() uint64 { return r.x.engine.Panics() }

// Apply replays an operation.
//
// A request that panics after its change or before it is logged and skipped, as the server did when
// it executed it. So is the drop of a table that does not exist: the table was poisoned then, by a
// request that has another effect now.
//
// Errors, after which the store is of no use: the LSNs do not follow the last ones; a newer version
// recorded the operation, by its Semantics or by an extension with an even tag (one with an odd tag
// may be ignored); the request is no change, or has another effect than before; a
// PartiallyAppliedError. Each names the LSN and, if it is known, the request.
func (r *Replayer) Apply(op Operation) error {
	store, lsn, n, payload := r.x.engine.env.Store, op.LSN, op.N, op.Request
	if last := store.Clock(); lsn != last+1 || n == 0 || lsn+n-1 > shardmap.MaxLSN {
		return fmt.Errorf("replay of %d LSNs from %d on: the last LSN was %d", n, lsn, last)
	}
	if err := op.known(); err != nil {
		return fmt.Errorf("replay at %d: %w", lsn, err)
	}
	if op.Time != 0 {
		r.x.call.Time = op.Time
		r.mark(op.Time)
	}
	if r.skip[lsn] {
		r.skipped++
		payload = nil
	}
	if len(payload) == 0 {
		r.advanceTo(lsn + n - 1)
		return nil
	}
	if string(payload) == LoadMark {
		return fmt.Errorf(
			"replay at %d: all tables were loaded from another file here: the journal continues the data file that "+
				"was written then, or a later one, and not this one",
			lsn,
		)
	}
	req, err := codec.ParsePayload(payload)
	if err != nil {
		return fmt.Errorf("replay at %d: %w", lsn, err)
	}
	err = r.replay(&req)
	var p *replayPanic
	if errors.As(err, &p) {
		err = r.panicked(lsn, n, p)
	}
	var problem *codec.Error
	if req.Op == codec.OpDrop && errors.As(err, &problem) && problem.Status == codec.StatusNoSuchTable {
		err = nil
		r.droppedEarlier(lsn, n)
	}
	if err != nil {
		return fmt.Errorf("replay at %d: %v: %w", lsn, req.Op, err)
	}
	if assigned := store.Clock() + 1 - lsn; assigned != n {
		return fmt.Errorf("replay at %d: %v took %d LSNs, not %d", lsn, req.Op, assigned, n)
	}
	return nil
}

// markGap is how far apart the marks of a replay are at least, in milliseconds. A server makes
// fewer marks, so an entry that it has shown as expired, by its table's default time to live, does
// not live again after a replay, unless that takes less time.
const markGap = 10

// mark notes when the operations up to now were made, before one with a time is applied.
func (r *Replayer) mark(time int64) {
	store := r.x.engine.env.Store
	if r.time > 0 && time >= r.marked+markGap {
		store.MarkAt(r.time, store.Clock())
		r.marked = time
	}
	r.time = max(r.time, time)
}

// End ends the replay.
func (r *Replayer) End() {
	if r.time > 0 {
		r.x.engine.env.Store.MarkAt(r.time, r.x.engine.env.Store.Clock())
	}
}

// known returns an error if a newer version recorded the operation.
func (op *Operation) known() error {
	if op.Semantics > Semantics {
		return fmt.Errorf(
			"recorded with version %d of the command semantics, and this program knows up to %d: use a newer one",
			op.Semantics,
			Semantics,
		)
	}
	for b := op.Extensions; len(b) > 0; {
		tag, n := binary.Uvarint(b)
		b = b[max(n, 0):]
		size, m := binary.Uvarint(b)
		if n <= 0 || m <= 0 || size > uint64(len(b)-m) {
			return errors.New("its extensions cannot be parsed")
		}
		if tag%2 == 0 {
			return fmt.Errorf("it has the extension %d, which this program does not know: use a newer one", tag)
		}
		b = b[m+int(size):]
	}
	return nil
}

// panicked decides how the replay continues after a panic of the request with the LSNs lsn to
// lsn+n-1.
func (r *Replayer) panicked(lsn, n uint64, p *replayPanic) error {
	store := r.x.engine.env.Store
	if p.poisoned != nil {
		return &PartiallyAppliedError{lsn, r.x.Op, p.poisoned.Name(), p.what}
	}
	how := "its change is complete"
	if store.Clock() < lsn+n-1 {
		how = "it is skipped"
		r.skipped++
		r.advanceTo(lsn + n - 1)
	}
	_ = r.x.engine.ReportPanic("a recorded request panics: "+how, p.what, nil,
		slog.Uint64("lsn", lsn), slog.String("op", r.x.Op.String()), slog.String("table", string(r.x.TableName)))
	return nil
}

// droppedEarlier skips the drop of a table that does not exist. When the drop was recorded, a
// creation or another drop had poisoned the table in a panic. Now that request is skipped, or does
// not panic. Either way no table has the name.
func (r *Replayer) droppedEarlier(lsn, n uint64) {
	r.advanceTo(lsn + n - 1)
	r.x.engine.env.Logger.Warn(
		"a recorded request drops a table that does not exist",
		slog.Uint64("lsn", lsn),
		slog.String("table", string(r.x.TableName)),
	)
}

// advanceTo advances the clock to last: no request gets the LSNs up to it.
func (r *Replayer) advanceTo(last uint64) {
	store, next := r.x.engine.env.Store, r.x.engine.env.Store.Clock()+1
	if r.x.call.Log != nil && next <= last {
		r.x.call.Log.Append(next, last+1-next, r.x.call.Time, nil)
	}
	store.SetClock(last)
}

// replay executes a request. Errors: those of its error reply, and its panic.
func (r *Replayer) replay(req *codec.Request) (err error) {
	if !r.x.engine.Mutates(req.Op) {
		return fmt.Errorf("it changes nothing")
	}
	defer func() {
		if p := recover(); p != nil {
			err = &replayPanic{p, r.x.call.Release()}
		}
	}()
	r.out = r.x.Execute(r.out[:0], req, nil)
	switch {
	case r.x.Outcome != Answered:
		return fmt.Errorf("it waits for another request")
	case r.x.Status == codec.StatusOK:
		return nil
	}
	reply, _, err := codec.ParseReply(r.out)
	if err != nil {
		return err
	}
	problem, err := codec.ParseErrorBody(reply.Status, reply.Body)
	if err != nil {
		return err
	}
	return problem
}
