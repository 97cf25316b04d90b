package engine

import (
	"cmp"
	"hash/maphash"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/pubsub"
	"cyberdb-fast/shardmap"
)

// Engine executes requests on the tables of one store. Its methods may be called from any
// goroutine.
type Engine struct {
	env      Env // constant; Commands and Admission are set
	commands *Commands
	sections map[string]Section // of INFO; constant
	memory   shardmap.Memory    // of requests in the background; nil: no limit

	panics  atomic.Uint64
	lines   *lines // constant
	unsent  unsent
	plain   plainLocks
	lists   tableLists
	hub     *pubsub.Hub // constant
	digests digests

	mu   sync.Mutex
	free []shardmap.Log // logs that no request in the background uses; guarded by mu
}

// New returns an engine.
func New(env Env) *Engine {
	e := &Engine{
		env: env, commands: env.Commands, sections: allSections(env.Sections), lines: newLines(),
		unsent: unsent{seed: maphash.MakeSeed()},
		hub:    pubsub.NewHub(cmp.Or(env.MessageBytes, defaultMessageBytes)),
	}
	if e.commands == nil {
		e.commands = &protocol
	}
	if env.Admission == nil {
		e.env.Admission = unlimited{}
	} else {
		e.memory = env.Admission
	}
	return e
}

// Store returns the store whose tables the engine works on.
func (e *Engine) Store() *shardmap.Store { return e.env.Store }

// now returns the time of the store.
func (e *Engine) now() int64 {
	if e.env.Now == nil {
		return 0
	}
	return e.env.Now()
}

// Mutates says whether a request of an opcode changes tables, if it succeeds.
func (e *Engine) Mutates(op codec.Opcode) bool { return e.commands[op].Mutates }

// Waits says whether a request of an opcode waits, for the disk or for others of its kind, more
// than it needs a processor at once.
func (e *Engine) Waits(op codec.Opcode) bool { return e.commands[op].Waits }

// NewExecutor returns an executor for a goroutine that must not be kept waiting, such as an event
// loop. It has a log of its own. What takes long, it leaves to Do.
func (e *Engine) NewExecutor() *Executor {
	x := &Executor{engine: e}
	if e.env.Changes != nil {
		x.logTo(e.env.Changes())
	}
	return x
}

// TakeLog returns a log of Env.Changes that is the caller's until PutLog, for changes that are not
// requests; nil: nothing is logged.
func (e *Engine) TakeLog() shardmap.Log {
	if e.env.Changes == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	last := len(e.free) - 1
	if last < 0 {
		return e.env.Changes()
	}
	log := e.free[last]
	e.free = e.free[:last]
	return log
}

// PutLog gives back what TakeLog returned. Callers may wait for what the log has recorded.
func (e *Engine) PutLog(log shardmap.Log) {
	if log == nil {
		return
	}
	if e.env.Journal != nil {
		e.env.Journal.Flush()
	}
	e.mu.Lock()
	e.free = append(e.free, log)
	e.mu.Unlock()
}

// ReportPanic counts and logs a panic, and gives back the locks of the call, if there is one. A
// table that the call has partially changed is poisoned (shardmap.Call.Release). It returns the
// error that clients get. A door that recovers from a panic in Execute calls ReportPanic with the
// executor's Call; then the executor can be used again.
func (e *Engine) ReportPanic(where string, p any, call *shardmap.Call, more ...any) *codec.Error {
	e.panics.Add(1)
	attrs := append([]any{slog.Any("panic", p), slog.String("stack", string(debug.Stack()))}, more...)
	if call != nil {
		if poisoned := call.Release(); poisoned != nil {
			attrs = append(attrs, slog.String("poisoned", poisoned.Name()))
		}
	}
	e.env.Logger.Error(where, attrs...)
	return &codec.Error{Status: codec.StatusInternal, Message: "internal error of the server"}
}

// Panics returns how many panics were reported.
func (e *Engine) Panics() uint64 { return e.panics.Load() }

// Target returns the table and the encoded key that a request names; nil where it names none, or
// cannot be read.
func (e *Engine) Target(req *codec.Request) (table, key []byte) {
	if !codec.Shapes[req.Op].Table || len(req.Args) == 0 {
		return nil, nil
	}
	table, rest, err := tableName(req.Args)
	if err != nil || !e.commands[req.Op].OnKey || len(rest) == 0 {
		return table, nil
	}
	n, err := value.Check(rest)
	if err != nil {
		return table, nil
	}
	return table, rest[:n]
}
