package loop

import (
	"encoding/binary"
	"errors"
	"fmt"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

const (
	// maxFixedArgs is the most arguments that any opcode has beside its "many".
	maxFixedArgs = 4
	// smallArgBytes is the size of arguments up to which a request is executed on the event loop
	// without an estimate before: the estimate would take as long as the request, and the worst
	// that so few bytes can ask for is short.
	smallArgBytes = 512
	// maxLoopCost is the largest estimate, in nanoseconds, of a request whose arguments are checked
	// and used on the event loop.
	maxLoopCost = 1_000_000
)

// outcome says what became of a request.
type outcome uint8

const (
	outcomeAnswered outcome = iota // the reply is in out
	outcomeParked                  // the table is gated: try again when it is free
	outcomeBeside                  // too long for the loop: execute it beside
	outcomeStream                  // a long read, cut: its reply is made beside the loop
)

// executor executes requests, one after another: the way of a request from its frame to its reply. Each event loop and each long
// write has its own.
type executor struct {
	srv  *Server
	call shardmap.Call

	ahead int // how many of the next requests were looked at together
	cost  int // estimated nanoseconds of the requests since the caller reset it

	// of the request at hand; views into its frame
	op     codec.Opcode
	table  *shardmap.Table
	name   []byte // the table's name
	args   [maxFixedArgs][]byte
	n      int    // number of args
	rest   []byte // the arguments of "many", back to back
	restN  int
	opened bool // there are containers or extension objects among them

	body    []byte // the reply's body is appended here
	status  codec.Status
	defect  bool // the error is one of the server's own
	outcome outcome
	checks  bool   // of outcomeBeside: checking the arguments takes long, whatever the table holds
	stream  stream // of outcomeStream
}

// reply executes one request and appends its reply to out; x.outcome says if there is none yet. problem is the parser's error, if any.
func (x *executor) reply(out []byte, req *codec.Request, problem error) []byte {
	command := &commands[req.Op]
	x.outcome, x.status, x.defect, x.op, x.table, x.name = outcomeAnswered, codec.StatusOK, false, req.Op, nil, nil
	x.opened, x.call.Cost = false, int(command.base)
	x.call.Request = req.Payload
	x.cost += baseCost + len(req.Args)
	if len(req.Args) > smallArgBytes && problem == nil && !x.call.Beside && x.estimate(req, command) > maxLoopCost {
		x.outcome, x.checks = outcomeBeside, true
		return out
	}
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
	x.cost += x.call.Cost + (len(out)-at)/replyBytesPerNano
	if x.opened && len(req.Args) <= smallArgBytes && !x.call.Beside {
		x.estimate(req, command) // not needed to decide, but counted
	}
	switch {
	case err == nil:
		if req.Flags&codec.FlagWantVersion != 0 && command.versioned {
			out = codec.SetVersion(out, at, x.call.Version)
		}
		return endReply(out, at)
	case errors.Is(err, shardmap.ErrBusy):
		x.outcome = outcomeParked
	case errors.Is(err, shardmap.ErrLong):
		return x.long(out[:at], req, command)
	default:
		return x.fail(out[:at], req, err)
	}
	return out[:at]
}

// run runs the command.
func (x *executor) run(req *codec.Request, command *command) error {
	if len(req.Payload) > persist.LargeOperationBytes && command.mutates && x.srv.journal != nil {
		return x.runAnnounced(len(req.Payload), command)
	}
	return command.run(x)
}

// runAnnounced announces a large change to the journal, before it draws its numbers.
func (x *executor) runAnnounced(n int, command *command) error {
	x.srv.journal.Announce(n)
	defer x.srv.journal.Announce(-n)
	return command.run(x)
}

// long decides how a request goes on that is too long for the loop: a read is cut now, a write runs beside.
func (x *executor) long(out []byte, req *codec.Request, command *command) []byte {
	if command.view == nil {
		x.outcome, x.checks = outcomeBeside, false
		return out
	}
	var err error
	x.stream, err = command.view(x)
	switch {
	case err == nil:
		x.outcome = outcomeStream
	case errors.Is(err, shardmap.ErrBusy):
		x.outcome = outcomeParked
	default:
		return x.fail(out, req, err)
	}
	return out
}

// replyBytesPerNano is how many bytes of a reply are copied, sealed and written in a nanosecond.
const replyBytesPerNano = 2

// estimate returns about how many nanoseconds it takes to check and to use the request's arguments,
// and adds them to x.cost. It stops beyond maxLoopCost.
func (x *executor) estimate(req *codec.Request, command *command) (cost int) {
	b := req.Args
	for i := 0; len(b) > 0 && cost <= maxLoopCost; i++ {
		c, n := value.Cost(b, command.use(i), maxLoopCost-cost)
		cost += c + int(command.each)
		b = b[n:]
	}
	x.cost += cost
	return cost
}

// prepare checks the request against its opcode's shape and finds its table.
func (x *executor) prepare(req *codec.Request, command *command) error {
	shape := &codec.Shapes[req.Op]
	if command.run == nil {
		return &codec.Error{Status: codec.StatusUnknownOpcode, Message: fmt.Sprintf("%v is not known to this server", req.Op)}
	}
	x.call.HasIf = req.Flags&codec.FlagIfVersion != 0
	x.call.IfVersion = req.IfVersion
	x.call.Version = 0
	if x.call.HasIf && !command.conditional {
		return &codec.Error{Status: codec.StatusUnsupported, Message: shape.Name + " does not take the flag IF VERSION"}
	}
	if req.Flags&codec.FlagWantVersion != 0 && !command.versioned {
		return &codec.Error{Status: codec.StatusUnsupported, Message: shape.Name + " does not take the flag WANT VERSION"}
	}
	if err := x.mayChange(req, command); err != nil {
		return err
	}
	if command.grows {
		if err := x.srv.memory.admit(len(req.Args)); err != nil {
			return err
		}
	}
	b := req.Args
	if shape.Table {
		var err error
		if x.name, b, err = tableName(b); err != nil {
			return err
		}
	}
	if err := x.arguments(b, shape, command); err != nil {
		return err
	}
	if command.kind == anyTable {
		return nil
	}
	return x.findTable(command.kind)
}

// mayChange returns an error if the request may change something that could not be kept as it asks for.
func (x *executor) mayChange(req *codec.Request, command *command) error {
	if command.mutates {
		if err := x.srv.writable(); err != nil {
			return err
		}
	}
	if req.Flags&codec.FlagDurable != 0 && x.srv.journal == nil && !x.call.Replay {
		return &codec.Error{Status: codec.StatusUnsupported, Message: "this server keeps no journal: it cannot say what is on disk"}
	}
	return nil
}

// findTable finds the table by its name and checks that it is of the kind.
func (x *executor) findTable(kind tableKind) error {
	table, ok := x.srv.store.Lookup(&x.call, x.name)
	if !ok {
		return shardmap.ErrNoTable
	}
	x.table = table
	switch {
	case kind == dictTable && table.Kind() != shardmap.KindDict,
		kind == listTable && table.Kind() != shardmap.KindList:
		return shardmap.ErrKind
	}
	return nil
}

// endReply ends the reply that begins at out[at]; one that is larger than a reply frame may be is cut into several.
func endReply(out []byte, at int) []byte {
	body := at + codec.HeaderBytes
	if len(out)-body <= codec.MaxReplyFrameBytes {
		codec.EndFrame(out, at)
		return out
	}
	// The first frame stays as it is, fields and all; what is behind it moves.
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
