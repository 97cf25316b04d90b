package engine

import (
	"errors"
	"fmt"
	"strings"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// Fail appends the reply to a request whose Stream has returned an error. of is the Result of the
// request; the caller has copied its TableName. Fail returns the Result that replaces it.
func (e *Engine) Fail(out []byte, id uint32, of Result, err error) (reply []byte, result Result) {
	x := Executor{Result: of, engine: e}
	x.Outcome = Answered
	return x.fail(out, &codec.Request{ID: id, Op: of.Op}, err), x.Result
}

// fail appends the error reply.
func (x *Executor) fail(out []byte, req *codec.Request, err error) []byte {
	e := x.describe(req.Op, err)
	x.Status = e.Status
	return AppendError(out, req.ID, e)
}

// An error carries at most so much of a key and of texts, so that it always fits into one frame.
const (
	maxErrorKeyBytes  = 64 << 10
	maxErrorTextBytes = 4 << 10
)

// describe translates an error to one of the wire.
func (x *Executor) describe(op codec.Opcode, err error) *codec.Error {
	var problem *value.Error
	var ready *codec.Error
	e := &codec.Error{Message: err.Error(), Table: string(x.TableName)}
	switch {
	case errors.As(err, &ready):
		if ready.Table == "" {
			ready.Table = string(x.TableName)
		}
		x.Internal = ready.Status == codec.StatusInternal
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
		e.Status, e.Message = codec.StatusNoSuchTable, fmt.Sprintf("no table is named %q", x.TableName)
	case errors.Is(err, shardmap.ErrTableExists):
		e.Status, e.Message = codec.StatusTableExists, fmt.Sprintf("a table named %q exists already", x.TableName)
	case errors.Is(err, shardmap.ErrKind):
		e.Status = codec.StatusWrongTableKind
		e.Want = x.wantedKind(op)
		if table, ok := x.engine.env.Store.Lookup(&x.call, x.TableName); ok {
			e.Have = table.Kind().String()
		}
		e.Message = fmt.Sprintf("%v is for a %s, table %q is a %s", op, e.Want, x.TableName, e.Have)
		if e.Have == shardmap.KindLocks.String() {
			e.Message += " table"
		}
	case errors.Is(err, shardmap.ErrPoisoned):
		e.Status = codec.StatusInternal
		e.Message = fmt.Sprintf(
			"an internal error has left table %q partially changed: it is closed until the server is restarted or "+
				"the table is dropped",
			x.TableName,
		)
	case errors.Is(err, shardmap.ErrFull):
		e.Status, e.Message = codec.StatusOverloaded, x.fullText()
	case errors.Is(err, shardmap.ErrOutdated):
		e.Status, e.Message = codec.StatusOverloaded, "too many tables were dropped or renamed while the client read "+
			"the list: ask again"
	case errors.Is(err, shardmap.ErrTooLarge):
		e.Status, e.Message = codec.StatusTooLarge, fmt.Sprintf(
			"the values found have more than %d bytes: ask for fewer keys",
			shardmap.MaxResultBytes,
		)
	case errors.Is(err, shardmap.ErrVersion):
		e.Status, e.Key = codec.StatusVersionMismatch, x.args[0]
		e.Message = fmt.Sprintf("the entry's version is %d, not %d", x.call.Version, x.call.IfVersion)
		if x.call.IfVersion == codec.AnyVersion {
			e.Message = "there is no such entry"
		}
	default:
		x.engine.env.Logger.Error("error without a status", "op", op.String(), "error", err)
		e.Status, x.Internal = codec.StatusInternal, true
	}
	return e
}

// fullText says which limit of the request's table leaves no room, and what to do.
func (x *Executor) fullText() string {
	o := x.call.Options // of a table that is created
	if x.Table != nil {
		o = x.Table.Dict().Options()
	}
	var limits []string
	if o.MaxEntries > 0 {
		limits = append(limits, fmt.Sprintf("max_entries is %d", o.MaxEntries))
	}
	if o.MaxBytes > 0 {
		limits = append(limits, fmt.Sprintf("max_bytes is %d", o.MaxBytes))
	}
	return fmt.Sprintf(
		"dict %q is full: %s, and policy %q allows no entry to be evicted for this one",
		x.TableName, strings.Join(limits, ", "), o.InForce(),
	)
}

func (x *Executor) wantedKind(op codec.Opcode) string {
	if x.engine.commands[op].Kind == ListTable || op == codec.OpCreateList {
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

// AppendError appends an error reply. It cuts a text that is too long, and omits a key that is too
// large.
func AppendError(out []byte, id uint32, e *codec.Error) []byte {
	cut := *e
	if len(cut.Key) > maxErrorKeyBytes {
		cut.Key = nil
	}
	if len(cut.Message) > maxErrorTextBytes {
		cut.Message = strings.ToValidUTF8(cut.Message[:maxErrorTextBytes], "") + "..."
	}
	out, at := codec.BeginReply(out, id, e.Status)
	out = codec.AppendErrorBody(out, &cut)
	codec.EndFrame(out, at)
	return out
}
