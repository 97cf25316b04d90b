package value

import (
	"errors"
	"fmt"
	"strconv"
)

// What is wrong with an encoding, besides an Error.
var (
	// ErrTruncated is returned when an encoding ends inside a value.
	ErrTruncated = errors.New("encoding ends inside a value")
	// ErrTooDeep is returned when containers are nested beyond MaxDepth, as recursive pointers
	// always are.
	ErrTooDeep = errors.New("nested deeper than " + strconv.Itoa(MaxDepth))
	// ErrTooLarge is returned when a value is above MaxValueBytes, or a container above
	// MaxElements.
	ErrTooLarge = errors.New("value too large")
)

// Kind is a class of Python's exceptions.
type Kind uint8

// The kinds of errors.
const (
	KeyError Kind = iota + 1
	IndexError
	TypeError
	ValueError
	AttributeError
	OverflowError
)

// String returns the name of Python's class.
func (k Kind) String() string {
	switch k {
	case KeyError:
		return "KeyError"
	case IndexError:
		return "IndexError"
	case TypeError:
		return "TypeError"
	case ValueError:
		return "ValueError"
	case AttributeError:
		return "AttributeError"
	case OverflowError:
		return "OverflowError"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Error is what Python would raise, with Python's text.
type Error struct {
	Kind Kind
	Msg  string
	Key  []byte // the encoded argument of a KeyError, else nil

	limit error // ErrTooLarge or ErrTooDeep, if that is the cause
}

// Error gives "TypeError: unhashable type: 'list'".
func (e *Error) Error() string { return e.Kind.String() + ": " + e.Msg }

// Unwrap returns ErrTooLarge or ErrTooDeep if a limit was passed, else nil.
func (e *Error) Unwrap() error { return e.limit }

func typeErrorf(format string, args ...any) *Error {
	return &Error{Kind: TypeError, Msg: fmt.Sprintf(format, args...)}
}

func valueErrorf(format string, args ...any) *Error {
	return &Error{Kind: ValueError, Msg: fmt.Sprintf(format, args...)}
}

func keyError(key []byte) *Error {
	text, err := Repr(key)
	if err != nil {
		text = "key"
	}
	return &Error{Kind: KeyError, Msg: text, Key: append([]byte(nil), key[:Size(key)]...)}
}

func unhashable(b []byte) *Error { return typeErrorf("unhashable type: '%s'", TypeName(b)) }

// malformedf says why bytes are not a value; the kind is ValueError.
func malformedf(format string, args ...any) *Error {
	return valueErrorf("malformed value: "+format, args...)
}
