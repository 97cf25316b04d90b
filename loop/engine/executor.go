package engine

import (
	"encoding/binary"
	"errors"
	"fmt"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

const (
	// maxFixedArgs is the most arguments of any opcode, besides its "many".
	maxFixedArgs = 5
	// smallArgBytes is the size of arguments up to which a request is executed on the event loop
	// without an estimate. The estimate would take as long as the request, and so few bytes cannot
	// ask for much.
	smallArgBytes = 512
	// maxLoopCost is the largest estimate, in nanoseconds, of a request whose arguments are checked
	// and used on the event loop.
	maxLoopCost = 1_000_000
)

// Outcome is the outcome of a request.
type Outcome uint8

// The outcomes.
const (
	Answered   Outcome = iota // the reply is appended
	AwaitsDisk                // the reply is appended; it may go once all up to Result.LSN is on disk
	// nothing was done, because another request owns the table for long, or holds the gate of the
	// lock that IF FENCE names: execute it again once Executor.WhenFree says so
	Blocked
	// nothing was done, because it would take long: execute it by Engine.Do, on another goroutine
	Background
	Streams // a view for a long read was cut: Result.Stream makes the body of its reply
	// nothing was done: execute the request again once Result.Wait has happened
	Waits
)

// Result is the result of the request that an executor has executed last.
type Result struct {
	Outcome Outcome
	Op      codec.Opcode
	Status  codec.Status
	// the error is internal: the door should close the client's connection
	Internal bool
	Checks   bool // of Background: checking the arguments alone would take long
	// a view into the request; empty if the request was refused before its table's name was read
	TableName []byte
	Table     *shardmap.Table // nil: it has found none
	Hits      uint32          // keys of a dict that it has looked up and found
	Misses    uint32          // those that were not there
	LSN       uint64          // of AwaitsDisk
	Stream    Stream          // of Streams: the caller closes it
	Wait      *Wait           // of Waits
}

// Executor executes requests, one after another: the way of a request from its frame to its reply.
// It is for one goroutine; each event loop has its own. Nothing is allocated for a request that
// reads or overwrites a value.
type Executor struct {
	Result     // of the last request
	Cost   int // estimated nanoseconds of the requests since the caller reset it
	// Origin is set by the caller before it calls Execute, and reset afterwards, except for its
	// Connection.
	Origin

	engine *Engine
	log    changeLog
	call   shardmap.Call

	prefetched int // how many of the next requests were prefetched

	named     []byte // the name of the last request's table as it stood in its frame: it is checked
	namedHead int    // bytes of its header

	// of the current request; views into its frame
	args   [maxFixedArgs][]byte
	n      int    // number of args
	rest   []byte // the arguments of "many", back to back
	restN  int
	opened bool // there are containers or extension objects among them

	extended bool // its extensions were looked at
	id       uint32
	// told is the LSN of a change that the reply tells of, and that an earlier request has made; 0:
	// there is none
	told uint64

	// of requests about locks
	gates    [][]byte             // keys of the gates that the request holds, for its fences
	shut     []byte               // of Blocked: the key of the gate that is held; nil: a table is
	lineKey  []byte               // buffer of a line's key
	entryKey []byte               // of an entry's key
	found16  [2 + ownerBytes]byte // of an entry's value that was read
	val16    [2 + ownerBytes]byte // of one that is written

	body []byte // the reply, to which commands append its body
}

// Call returns the Call that the executor uses for the store.
func (x *Executor) Call() *shardmap.Call { return &x.call }

// Time returns the time of the store at which the request is executed, in milliseconds since 1970
// UTC. It is the only time that a command may use: a log records it, and replay gives it again. The
// door sets it in Call.Time before it calls Execute.
func (x *Executor) Time() int64 { return x.call.Time }

// Store returns the store that the executor works on.
func (x *Executor) Store() *shardmap.Store { return x.engine.env.Store }

// Key returns the encoded key that the last request was for, a view into it; nil: it was for none,
// or was not executed.
func (x *Executor) Key() []byte {
	executed := x.Outcome == Answered || x.Outcome == AwaitsDisk
	if !executed || x.Status != codec.StatusOK && x.Status != codec.StatusKeyError || !x.engine.commands[x.Op].OnKey {
		return nil
	}
	return x.args[0]
}

// WhenFree makes free be called, on any goroutine, once the table of the blocked request is
// free, or the gate that it needs is open. If that is so already, it waits for nothing, and free is
// not called. cancel, unless it is nil, ends the wait for a gate.
func (x *Executor) WhenFree(free func()) (cancel func(), waits bool) {
	if x.shut == nil {
		return nil, x.Table.WhenUnlocked(free)
	}
	return x.engine.lines.await(x.shut, free)
}

// Execute executes one request. All requests reach the tables through it, from every wire and file.
// It appends the reply to out if there is one, as frames of codec/PROTOCOL.md, and sets x.Result.
// problem is the error of codec.ParseRequest for a frame whose id is known; it becomes the reply.
//
// The request's bytes must not change until the reply is sent or, if the request was blocked, until
// it is executed again. Execute does not recover from panics: see Engine.ReportPanic.
func (x *Executor) Execute(out []byte, req *codec.Request, problem error) []byte {
	if req.Flags&codec.FlagExtensions != 0 && !x.extended {
		return x.executeExtended(out, req, problem)
	}
	command := x.reset(req)
	x.Cost += baseCost + len(req.Args)
	if len(req.Args) > smallArgBytes && problem == nil && !x.call.MayBlock && x.estimate(req, command) > maxLoopCost {
		x.Outcome, x.Checks = Background, true
		return out
	}
	before := x.log.last
	out, at := codec.BeginReply(out, req.ID, codec.StatusOK)
	x.body = out
	err := problem
	if err == nil {
		err = x.prepare(req, command)
	}
	if err == nil {
		err = x.run(req, command)
	}
	out, x.body = x.body, nil
	x.Cost += x.call.Cost + (len(out)-at)/replyBytesPerNano
	if x.opened && len(req.Args) <= smallArgBytes && !x.call.MayBlock {
		x.estimate(req, command) // not for a decision: it is counted
	}
	if err != nil {
		out = x.notExecuted(out[:at], req, command, err)
	} else {
		if req.Flags&codec.FlagWantVersion != 0 && command.Versioned {
			out = codec.SetVersion(out, at, x.call.Version)
		}
		out = endReply(out, at)
	}
	if command.Mutates && x.Outcome == Answered && x.engine.env.Journal != nil {
		x.waitDurable(req.Flags&codec.FlagDurable != 0, before)
	}
	return out
}

// reset begins the execution of a request.
func (x *Executor) reset(req *codec.Request) *Command {
	command := &x.engine.commands[req.Op]
	x.Outcome, x.Status, x.Internal, x.Op, x.Table, x.TableName = Answered, codec.StatusOK, false, req.Op, nil, nil
	x.Hits, x.Misses, x.opened, x.call.Cost = 0, 0, false, int(command.Base)
	x.call.Request, x.id, x.shut, x.told = req.Payload, req.ID, nil, 0
	return command
}

// notExecuted handles a request that its command has not executed.
func (x *Executor) notExecuted(out []byte, req *codec.Request, command *Command, err error) []byte {
	switch {
	case errors.Is(err, shardmap.ErrBusy):
		x.Outcome = Blocked
	case errors.Is(err, shardmap.ErrLong):
		return x.long(out, req, command)
	case errors.Is(err, errWaits):
		x.Outcome = Waits
	default:
		return x.fail(out, req, err)
	}
	return out
}

// run runs the command.
func (x *Executor) run(req *codec.Request, command *Command) error {
	if len(req.Payload) > AnnouncedBytes && command.Mutates && x.engine.env.Journal != nil {
		return x.runAnnounced(len(req.Payload), command)
	}
	return command.Run(x)
}

// runAnnounced announces a large change to the journal, before its LSNs are assigned.
func (x *Executor) runAnnounced(n int, command *Command) error {
	journal := x.engine.env.Journal
	journal.Announce(n)
	defer journal.Announce(-n)
	return command.Run(x)
}

// long handles a request that is too long for the event loop: a view is cut for a read, a write
// goes to the background.
func (x *Executor) long(out []byte, req *codec.Request, command *Command) []byte {
	if command.View == nil {
		x.Outcome, x.Checks = Background, false
		return out
	}
	var err error
	x.Stream, err = command.View(x)
	switch {
	case err == nil:
		x.Outcome = Streams
	case errors.Is(err, shardmap.ErrBusy):
		x.Outcome = Blocked
	default:
		return x.fail(out, req, err)
	}
	return out
}

// replyBytesPerNano is how many bytes of a reply are copied, encrypted and written in a nanosecond.
const replyBytesPerNano = 2

// estimate returns about how many nanoseconds it takes to check and to use the request's arguments,
// and adds them to x.Cost. It stops beyond maxLoopCost.
func (x *Executor) estimate(req *codec.Request, command *Command) (cost int) {
	b := req.Args
	for i := 0; len(b) > 0 && cost <= maxLoopCost; i++ {
		c, n := value.Cost(b, command.use(i), maxLoopCost-cost)
		cost += c + int(command.Each)
		b = b[n:]
	}
	x.Cost += cost
	return cost
}

// prepare checks the request against its opcode's shape and finds its table.
func (x *Executor) prepare(req *codec.Request, command *Command) error {
	shape := &codec.Shapes[req.Op]
	if command.Run == nil {
		return &codec.Error{
			Status:  codec.StatusUnknownOpcode,
			Message: fmt.Sprintf("%v is not known to this server", req.Op),
		}
	}
	x.call.HasIf = req.Flags&codec.FlagIfVersion != 0
	x.call.IfVersion = req.IfVersion
	x.call.Version = 0
	if x.call.HasIf && !command.Conditional {
		return &codec.Error{Status: codec.StatusUnsupported, Message: shape.Name + " does not take the flag IF VERSION"}
	}
	if req.Flags&codec.FlagWantVersion != 0 && !command.Versioned {
		return &codec.Error{
			Status:  codec.StatusUnsupported,
			Message: shape.Name + " does not take the flag WANT VERSION",
		}
	}
	if err := x.timeToLive(req, command, shape); err != nil {
		return err
	}
	if err := x.mayChange(req, command); err != nil {
		return err
	}
	if command.Grows && !command.Looks {
		if err := x.grow(len(req.Args)); err != nil {
			return err
		}
	}
	b := req.Args
	if shape.Table {
		var err error
		if b, err = x.takeTableName(b); err != nil {
			return err
		}
	}
	if err := x.arguments(b, shape, command); err != nil {
		return err
	}
	if command.Effect && !x.call.Replay {
		return unsupported(shape.Name + " is not for clients")
	}
	if command.Kind == AnyTable {
		return nil
	}
	return x.findTable(command.Kind)
}

// grow makes room for a request of so many bytes that adds data, or returns an error.
func (x *Executor) grow(bytes int) error {
	admission := x.engine.env.Admission
	if want := admission.Evict(bytes); want > 0 {
		admission.Evicted(x.engine.env.Store.Evict(&x.call, want))
		x.call.Version = 0
	}
	return admission.Grow(bytes)
}

// mayChange returns an error if the request changes something that could not be kept, or asks for a
// durability that there is not.
func (x *Executor) mayChange(req *codec.Request, command *Command) error {
	if command.Mutates && !command.Looks {
		if err := x.engine.env.Admission.Change(); err != nil {
			return err
		}
	}
	if req.Flags&codec.FlagDurable != 0 && x.engine.env.Journal == nil && !x.call.Replay {
		return &codec.Error{
			Status:  codec.StatusUnsupported,
			Message: "this server keeps no journal: it has no durable replies",
		}
	}
	return nil
}

// FindTable finds a table for a command whose kind is AnyTable. If a long write owns the table, the
// request waits for it. Errors: shardmap.ErrNoTable; shardmap.ErrKind if it is not of the kind.
func (x *Executor) FindTable(name []byte, kind TableKind) (*shardmap.Table, error) {
	x.TableName = name
	err := x.findTable(kind)
	return x.Table, err
}

// findTable finds the table by its name and checks that it is of the kind.
func (x *Executor) findTable(kind TableKind) error {
	table, ok := x.engine.env.Store.Lookup(&x.call, x.TableName)
	if !ok {
		return shardmap.ErrNoTable
	}
	x.Table = table
	if !kind.is(table) {
		return shardmap.ErrKind
	}
	return nil
}

// is reports whether a table is one that commands of the kind are for.
func (k TableKind) is(t *shardmap.Table) bool {
	switch k {
	case DictTable:
		return t.Kind() == shardmap.KindDict
	case ListTable:
		return t.Kind() == shardmap.KindList
	case LocksTableKind:
		return t.Kind() == shardmap.KindLocks
	case DictOrLocks:
		return t.Dict() != nil
	case AnyTable, SomeTable:
	}
	return true
}

// endReply ends the reply that begins at out[at]. It splits a reply that is too large for one
// frame.
func endReply(out []byte, at int) []byte {
	body := at + codec.HeaderBytes
	if len(out)-body <= codec.MaxReplyFrameBytes {
		codec.EndFrame(out, at)
		return out
	}
	// The first frame stays in place, with its fields; the rest moves.
	id, status := binary.LittleEndian.Uint32(out[at+4:]), codec.Status(out[at+8])
	rest := append([]byte(nil), out[body+codec.MaxReplyFrameBytes:]...)
	out = out[:body+codec.MaxReplyFrameBytes]
	codec.SetMore(out, at)
	codec.EndFrame(out, at)
	for len(rest) > 0 {
		n := min(len(rest), codec.MaxReplyFrameBytes)
		out, at = codec.BeginReply(out, id, status)
		out = append(out, rest[:n]...)
		if rest = rest[n:]; len(rest) > 0 {
			codec.SetMore(out, at)
		}
		codec.EndFrame(out, at)
	}
	return out
}
