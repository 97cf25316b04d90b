package loop

import (
	"errors"
	"fmt"
	"strings"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// fail appends the error reply.
func (x *executor) fail(out []byte, req *codec.Request, err error) []byte {
	e := x.wireError(req.Op, err)
	x.status = e.Status
	return appendError(out, req.ID, e)
}

// An error tells of a key and of texts no more than these, so that it always fits into one frame.
const (
	maxErrorKeyBytes  = 64 << 10
	maxErrorTextBytes = 4 << 10
)

// wireError puts an error into the wire's words. A key that is too large to be sent back is left out.
func (x *executor) wireError(op codec.Opcode, err error) *codec.Error {
	e := x.describe(op, err)
	if len(e.Key) > maxErrorKeyBytes {
		e.Key = nil
	}
	e.Message = shortened(e.Message)
	return e
}

func (x *executor) describe(op codec.Opcode, err error) *codec.Error {
	var problem *value.Error
	var ready *codec.Error
	e := &codec.Error{Message: err.Error(), Table: string(x.name)}
	switch {
	case errors.As(err, &ready):
		if ready.Table == "" {
			ready.Table = string(x.name)
		}
		x.defect = ready.Status == codec.StatusInternal
		return ready
	case errors.Is(err, shardmap.ErrNoKey):
		e.Status, e.Key = codec.StatusKeyError, x.args[0]
		e.Message = reprOf(x.args[0])
	case errors.Is(err, shardmap.ErrEmpty):
		e.Status, e.Message = codec.StatusKeyError, "'popitem(): dictionary is empty'"
		e.Key = value.AppendStr(nil, "popitem(): dictionary is empty")
	case errors.As(err, &problem):
		e.Status, e.Message, e.Key = codec.StatusOf(problem.Kind), problem.Msg, problem.Key
	case errors.Is(err, shardmap.ErrNoTable):
		e.Status, e.Message = codec.StatusNoSuchTable, fmt.Sprintf("no table is named %q", x.name)
	case errors.Is(err, shardmap.ErrTableExists):
		e.Status, e.Message = codec.StatusTableExists, fmt.Sprintf("a table named %q exists already", x.name)
	case errors.Is(err, shardmap.ErrKind):
		e.Status = codec.StatusWrongTableKind
		e.Want = wantedKind(op)
		if table, ok := x.srv.store.Lookup(&x.call, x.name); ok {
			e.Have = table.Kind().String()
		}
		e.Message = fmt.Sprintf("%v is for a %s, table %q is a %s", op, e.Want, x.name, e.Have)
	case errors.Is(err, shardmap.ErrSpoiled):
		e.Status = codec.StatusInternal
		e.Message = fmt.Sprintf("a defect in the server has left table %q half changed: it is closed until the server is restarted, or until it is dropped", x.name)
	case errors.Is(err, shardmap.ErrOutdated):
		e.Status, e.Message = codec.StatusOverloaded, "too many tables were dropped or renamed while the client read the list: ask again"
	case errors.Is(err, shardmap.ErrTooLarge):
		e.Status, e.Message = codec.StatusTooLarge, fmt.Sprintf("the values found have more than %d bytes: ask for fewer keys", shardmap.MaxResultBytes)
	case errors.Is(err, shardmap.ErrVersion):
		e.Status, e.Key = codec.StatusVersionMismatch, x.args[0]
		e.Message = fmt.Sprintf("the entry's version is %d, not %d", x.call.Version, x.call.IfVersion)
	default:
		x.srv.log.Error("error without a status", "op", op.String(), "error", err)
		e.Status, x.defect = codec.StatusInternal, true
	}
	return e
}

func wantedKind(op codec.Opcode) string {
	if commands[op].kind == listTable || op == codec.OpCreateList {
		return shardmap.KindList.String()
	}
	return shardmap.KindDict.String()
}

// reprOf is Python's repr of a key for an error text.
func reprOf(key []byte) string {
	if len(key) > maxErrorTextBytes { // its repr takes long, and would be cut
		return fmt.Sprintf("a key of %d bytes", len(key))
	}
	text, err := value.Repr(key)
	if err != nil {
		return "key"
	}
	return text
}

// shortened cuts a text to maxErrorTextBytes.
func shortened(text string) string { return shortenedTo(maxErrorTextBytes, text) }

// shortenedTo returns the first most bytes of a text, and dots in the place of the rest.
func shortenedTo(most int, text string) string {
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

func appendError(out []byte, id uint32, e *codec.Error) []byte {
	out, at := codec.BeginReply(out, id, e.Status)
	out = codec.AppendErrorBody(out, e)
	codec.EndFrame(out, at)
	return out
}
