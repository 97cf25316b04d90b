package engine

import (
	"errors"
	"fmt"
	"log/slog"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// LoadMark is the payload of a log that says that other tables took the place of all: it is no
// request, and cannot be made again.
const LoadMark = "load"

// Replayer makes recorded requests again, on the way that every request goes: through the command
// table and the executor.
//
// What was recorded at a number depends on the tables as they were before it and on nothing else,
// so each request finds what it found, draws the same numbers and leaves the same entries, versions
// and places. A Replayer is for one goroutine; nobody else may use the store meanwhile.
type Replayer struct {
	x        Executor
	out      []byte
	leaveOut map[uint64]bool // LSNs of requests that are not made again
	leftOut  int             // see LeftOut
}

// HalfMadeError is returned for a recorded request that panics in the middle of its change: nobody
// knows what its table holds. It is made again without the request.
type HalfMadeError struct {
	LSN   uint64
	Op    codec.Opcode
	Table string
	Panic any
}

func (e *HalfMadeError) Error() string {
	return fmt.Sprintf("a panic in the middle of its change of table %q: %v", e.Table, e.Panic)
}

// replayPanic is the panic of a request that is made again.
type replayPanic struct {
	what    any
	spoiled *shardmap.Table // nil: its change is made, or not begun
}

func (p *replayPanic) Error() string { return fmt.Sprintf("panic: %v", p.what) }

// NewReplayer returns a Replayer for the store of an Env, which is empty or restored from a
// snapshot. Of the Env it uses the commands, the logger and, if what is made again is to be logged
// again as it was, the logs.
func NewReplayer(env Env) *Replayer {
	e := New(Env{Store: env.Store, Logger: env.Logger, Commands: env.Commands})
	r := &Replayer{x: Executor{engine: e, call: shardmap.Call{MayBlock: true, Replay: true}}}
	if env.Changes != nil {
		r.x.logTo(env.Changes())
	}
	return r
}

// LeaveOut has Apply pass over the requests that drew these numbers first: see HalfMadeError.
func (r *Replayer) LeaveOut(lsns map[uint64]bool) { r.leaveOut = lsns }

// LeftOut returns how many requests were not made again: LeaveOut says so, or they panicked before
// they drew a number.
func (r *Replayer) LeftOut() int { return r.leftOut }

// Panics returns how many panics of requests were passed over.
func (r *Replayer) Panics() uint64 { return r.x.engine.Panics() }

// Apply makes a request again that drew the numbers lsn to lsn+n-1: payload is what shardmap.Log
// was told, empty for a cut.
//
// A request that panics once its change is made, or before that is begun, is logged and passed
// over, as it was then: the connection was closed, and all went on. So is the drop of a table that
// is not there: it follows a request that left the table half changed then, and is another one now.
//
// Errors, after which the store is of no use: the numbers do not follow those before them; the
// payload cannot be a change; the request does not do now what it did then; a HalfMadeError. Each
// names the number and, if it is known, the request.
func (r *Replayer) Apply(lsn, n uint64, payload []byte) error {
	store := r.x.engine.env.Store
	if last := store.Clock(); lsn != last+1 || n == 0 || lsn+n-1 > shardmap.MaxLSN {
		return fmt.Errorf("replay of %d numbers from %d on: the last number was %d", n, lsn, last)
	}
	if r.leaveOut[lsn] {
		r.leftOut++
		payload = nil
	}
	if len(payload) == 0 {
		r.passOver(lsn + n - 1)
		return nil
	}
	if string(payload) == LoadMark {
		return fmt.Errorf(
			"replay at %d: all tables were loaded from another file here: the journal goes on from the data "+
				"file that was made then, and from later ones, and not from this one",
			lsn,
		)
	}
	req, err := codec.ParsePayload(payload)
	if err != nil {
		return fmt.Errorf("replay at %d: %w", lsn, err)
	}
	err = r.again(&req)
	var p *replayPanic
	if errors.As(err, &p) {
		err = r.panicked(lsn, n, p)
	}
	var problem *codec.Error
	if req.Op == codec.OpDrop && errors.As(err, &problem) && problem.Status == codec.StatusNoSuchTable {
		err = nil
		r.droppedBefore(lsn, n)
	}
	if err != nil {
		return fmt.Errorf("replay at %d: %v: %w", lsn, req.Op, err)
	}
	if drawn := store.Clock() + 1 - lsn; drawn != n {
		return fmt.Errorf("replay at %d: %v drew %d numbers, not %d", lsn, req.Op, drawn, n)
	}
	return nil
}

// panicked decides how the replay goes on behind a request that drew the numbers lsn to lsn+n-1
// then, and panicked now.
func (r *Replayer) panicked(lsn, n uint64, p *replayPanic) error {
	store := r.x.engine.env.Store
	if p.spoiled != nil {
		return &HalfMadeError{lsn, r.x.Op, p.spoiled.Name(), p.what}
	}
	how := "its change is made"
	if store.Clock() < lsn+n-1 {
		how = "it is left out"
		r.leftOut++
		r.passOver(lsn + n - 1)
	}
	_ = r.x.engine.Defect("a recorded request panics: "+how, p.what, nil,
		slog.Uint64("lsn", lsn), slog.String("op", r.x.Op.String()), slog.String("table", string(r.x.TableName)))
	return nil
}

// droppedBefore passes over the drop of a table that is not there. It was there then, half changed
// by a request that is left out now, or that does not panic any more: a creation, or another drop.
// Nothing bears the name now, as after the drop.
func (r *Replayer) droppedBefore(lsn, n uint64) {
	r.passOver(lsn + n - 1)
	r.x.engine.env.Logger.Warn(
		"a recorded request drops a table that is not there",
		slog.Uint64("lsn", lsn),
		slog.String("table", string(r.x.TableName)),
	)
}

// passOver lets the numbers up to last go by: no request draws them.
func (r *Replayer) passOver(last uint64) {
	store, next := r.x.engine.env.Store, r.x.engine.env.Store.Clock()+1
	if r.x.call.Log != nil && next <= last {
		r.x.call.Log.Append(next, last+1-next, nil)
	}
	store.SetClock(last)
}

// again makes a request again. Errors: those that the request would be answered with, a panic too.
func (r *Replayer) again(req *codec.Request) (err error) {
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
