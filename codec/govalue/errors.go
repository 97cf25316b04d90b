package govalue

import (
	"errors"
	"strconv"

	"cyberdb-fast/codec/value"
)

// Errors of Append, Decode and Unmarshal, found by errors.Is. Those of package value are among
// them: ErrTooDeep, ErrTooLarge, and ErrTruncated when the encoding ends inside a value.
var (
	// ErrNotUTF8 is returned when a string is not UTF-8, lone surrogates allowed.
	ErrNotUTF8 = errors.New("string is not UTF-8")
	// ErrOutOfRange is returned when a value has no place in the type that it goes into.
	ErrOutOfRange = errors.New("out of range")
	// ErrWrongType is returned when a value is of a kind that the type it goes into does not take.
	ErrWrongType = errors.New("wrong type")
	// ErrUnsupported is returned when a Go type has no place among the values: a channel, a
	// function.
	ErrUnsupported = errors.New("unsupported Go type")
	// ErrMalformed is returned when bytes are not an encoding of a value.
	ErrMalformed = errors.New("malformed encoding")
)

// PathError says where in a value a conversion failed: "encode .Users[3].Name: string is not
// UTF-8".
type PathError struct {
	Op   string // "encode" or "decode"
	Path string // fields, indexes and keys from the outermost value inwards; empty for the value itself
	Err  error
}

func (e *PathError) Error() string {
	if e.Path == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + " " + e.Path + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *PathError) Unwrap() error { return e.Err }

// withOp completes err at the outermost value.
func withOp(op string, err error) error {
	if e, ok := err.(*PathError); ok && e.Op == "" { //nolint:errorlint // only an unwrapped one is incomplete
		e.Op = op
		return e
	}
	return &PathError{Op: op, Err: err}
}

// atStep puts one step before the path of err.
func atStep(step string, err error) error {
	if e, ok := err.(*PathError); ok && e.Op == "" { //nolint:errorlint // as in withOp
		e.Path = step + e.Path
		return e
	}
	return &PathError{Path: step, Err: err}
}

func atIndex(i int, err error) error { return atStep("["+strconv.Itoa(i)+"]", err) }

// atKey puts a dict key before the path; only short texts and numbers are shown.
func atKey(key any, err error) error {
	const maxShown = 40
	step := "[?]"
	switch k := key.(type) {
	case string:
		if len(k) > maxShown {
			k = k[:maxShown]
		}
		step = "[" + strconv.Quote(k) + "]"
	case int64:
		step = "[" + strconv.FormatInt(k, 10) + "]"
	case int:
		step = "[" + strconv.Itoa(k) + "]"
	}
	return atStep(step, err)
}

// level counts how deep a conversion is. It goes by value, one copy for each step down.
type level struct {
	containers uint16 // nested containers, as MaxDepth counts them
	pointers   uint16 // pointers followed since the last container, for loops that hold none
}

// enter goes into a container of n elements.
func (l level) enter(n int) (level, error) {
	if n > value.MaxElements {
		return l, value.ErrTooLarge
	}
	if l.containers >= value.MaxDepth {
		return l, value.ErrTooDeep
	}
	return level{containers: l.containers + 1}, nil
}

// follow goes through a pointer.
func (l level) follow() (level, error) {
	if l.pointers >= value.MaxDepth {
		return l, value.ErrTooDeep
	}
	l.pointers++
	return l, nil
}
