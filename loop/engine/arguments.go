package engine

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
)

// arguments takes the arguments apart and checks each: form, limits and number.
func (x *Executor) arguments(b []byte, shape *codec.Shape, command *Command) error {
	fixed := shape.Max
	if fixed == codec.Many {
		fixed = shape.Min
	}
	x.n, x.rest, x.restN = 0, nil, 0
	for x.n < fixed && len(b) > 0 {
		n, err := x.checkArgument(b, command)
		if err != nil {
			return badArgument(err, shape, x.n)
		}
		x.args[x.n] = b[:n:n]
		b = b[n:]
		x.n++
	}
	if x.n < shape.Min {
		return &codec.Error{
			Status:  codec.StatusBadArguments,
			Message: fmt.Sprintf("%s takes %s, not %d", shape.Name, shape.Arity(), x.n),
		}
	}
	if len(b) == 0 {
		return nil
	}
	if shape.Max != codec.Many {
		return &codec.Error{
			Status:  codec.StatusBadArguments,
			Message: fmt.Sprintf("%s takes %s, and there are more", shape.Name, shape.Arity()),
		}
	}
	x.rest = b
	for len(b) > 0 {
		n, err := x.checkArgument(b, command)
		if err != nil {
			return badArgument(err, shape, x.n+x.restN)
		}
		b = b[n:]
		if x.restN++; x.restN > codec.MaxArguments {
			return &codec.Error{
				Status:  codec.StatusTooLarge,
				Message: fmt.Sprintf("%s with more than %d arguments", shape.Name, codec.MaxArguments),
			}
		}
	}
	if x.restN%shape.Each != 0 {
		return &codec.Error{
			Status:  codec.StatusBadArguments,
			Message: fmt.Sprintf("%s takes keys and values in pairs, not %d of them", shape.Name, x.restN),
		}
	}
	return nil
}

// checkArgument is check, but accepts the absent marker where the command takes it.
func (x *Executor) checkArgument(b []byte, command *Command) (int, error) {
	if command.Absent && b[0] == codec.Absent {
		return 1, nil
	}
	return x.check(b)
}

// check checks the value at the front of b. A recorded request may hold what an earlier version
// accepted.
func (x *Executor) check(b []byte) (int, error) {
	x.opened = x.opened || value.IsComposite(b[0])
	if x.call.Replay {
		return value.CheckStored(b)
	}
	return value.Check(b)
}

func badArgument(err error, shape *codec.Shape, i int) error {
	if shape.Table {
		i++
	}
	e := &codec.Error{
		Status:  codec.StatusBadArguments,
		Message: fmt.Sprintf("%s, argument %d: %v", shape.Name, i+1, err),
	}
	var problem *value.Error
	if errors.As(err, &problem) {
		e.Status = codec.StatusOf(problem.Kind)
		e.Message = problem.Msg
	}
	if errors.Is(err, value.ErrTooLarge) {
		e.Status = codec.StatusTooLarge
	}
	return e
}

// takeTableName takes the table's name from the front of the arguments. Most requests name the
// table of the one before, whose name is checked.
func (x *Executor) takeTableName(b []byte) (rest []byte, err error) {
	if n := len(x.named); n > 0 && bytes.HasPrefix(b, x.named) {
		x.TableName = b[x.namedHead:n]
		return b[n:], nil
	}
	if x.TableName, rest, err = tableName(b); err == nil {
		x.named = append(x.named[:0], b[:len(b)-len(rest)]...)
		x.namedHead = len(x.named) - len(x.TableName)
	}
	return rest, err
}

// tableName takes a table's name from the front of the arguments.
func tableName(b []byte) (name, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, &codec.Error{Status: codec.StatusBadArguments, Message: "the table's name is missing"}
	}
	if msgp.NextType(b) != msgp.StrType {
		n, err := value.Check(b)
		if err != nil {
			return nil, nil, &codec.Error{Status: codec.StatusBadArguments, Message: "the table's name: " + err.Error()}
		}
		return nil, nil, &codec.Error{
			Status: codec.StatusTypeError,
			Message: fmt.Sprintf(
				"a table's name is a str of 1 to %d bytes, not %s",
				codec.MaxTableNameBytes,
				value.TypeName(b[:n]),
			),
		}
	}
	if _, err := value.Check(b); err != nil {
		return nil, nil, &codec.Error{Status: codec.StatusBadArguments, Message: "the table's name: " + err.Error()}
	}
	name, rest, err = msgp.ReadStringZC(b)
	if err != nil || len(name) == 0 || len(name) > codec.MaxTableNameBytes {
		return nil, nil, &codec.Error{
			Status: codec.StatusValueError,
			Message: fmt.Sprintf(
				"a table's name is a str of 1 to %d bytes, this one has %d",
				codec.MaxTableNameBytes,
				len(name),
			),
		}
	}
	return name, rest, nil
}

// boolArgument reads a bool.
func boolArgument(b []byte, what string) (bool, error) {
	v, _, err := msgp.ReadBoolBytes(b)
	if err != nil {
		return false, &codec.Error{
			Status:  codec.StatusTypeError,
			Message: fmt.Sprintf("%s is a bool, not %s", what, value.TypeName(b)),
		}
	}
	return v, nil
}

// isInt says whether b is an int or a bool, and whether it fits into 64 bits; if it does not, v is
// the nearest that does.
func intArgument(b []byte) (v int64, isInt, fits bool) {
	switch msgp.NextType(b) {
	case msgp.BoolType:
		yes, _, _ := msgp.ReadBoolBytes(b)
		if yes {
			v = 1
		}
		return v, true, true
	case msgp.IntType, msgp.UintType:
		v, _, err := msgp.ReadInt64Bytes(b)
		if err != nil { // above the largest int64
			return 1<<63 - 1, true, false
		}
		return v, true, true
	}
	if negative, ok := value.BigIntSign(b); ok {
		if negative {
			return -1 << 63, true, false
		}
		return 1<<63 - 1, true, false
	}
	return 0, false, false
}

// index reads the index of an item: l[i].
func index(b []byte) (int64, error) {
	v, isInt, fits := intArgument(b)
	switch {
	case !isInt:
		return 0, typeError(fmt.Sprintf("list indices must be integers or slices, not %s", value.TypeName(b)))
	case !fits:
		return 0, &codec.Error{Status: codec.StatusIndexError, Message: "cannot fit 'int' into an index-sized integer"}
	}
	return v, nil
}

// position reads the index of a method: l.insert(i, x), l.pop(i).
func position(b []byte) (int64, error) {
	v, isInt, fits := intArgument(b)
	switch {
	case !isInt:
		return 0, typeError(fmt.Sprintf("'%s' object cannot be interpreted as an integer", value.TypeName(b)))
	case !fits:
		return 0, &codec.Error{
			Status:  codec.StatusOverflowError,
			Message: "Python int too large to convert to C ssize_t",
		}
	}
	return v, nil
}

// bound reads one part of a slice: an int, taken as the nearest end if it is beyond 64 bits, or
// None (nil).
func bound(b []byte, into *int64) (*int64, error) {
	if msgp.IsNil(b) {
		return nil, nil
	}
	v, isInt, _ := intArgument(b)
	if !isInt {
		return nil, typeError("slice indices must be integers or None or have an __index__ method")
	}
	*into = v
	return into, nil
}

func typeError(text string) error {
	return &codec.Error{Status: codec.StatusTypeError, Message: text}
}
