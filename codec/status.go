package codec

import (
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// Status is the outcome of a request. Numbers are only ever added. On the wire: do not change.
type Status uint8

// Status codes. The first group is Python's own errors; the second is about tables and entries; the
// third about the request, the connection or the server.
const (
	StatusOK             Status = 0
	StatusKeyError       Status = 1
	StatusIndexError     Status = 2
	StatusTypeError      Status = 3
	StatusValueError     Status = 4
	StatusAttributeError Status = 5
	StatusOverflowError  Status = 6

	StatusNoSuchTable     Status = 16
	StatusTableExists     Status = 17
	StatusWrongTableKind  Status = 18
	StatusVersionMismatch Status = 19
	// the lock is not held with the fence, or by the owner, that the request names
	StatusLockLost Status = 20
	// the receipt's lease has ended, or there was none
	StatusLeaseExpired Status = 21

	StatusBadFrame      Status = 32 // the connection is closed afterwards
	StatusUnknownOpcode Status = 33
	StatusBadArguments  Status = 34
	StatusTooLarge      Status = 35
	StatusUnsupported   Status = 36
	StatusOverloaded    Status = 37
	StatusShuttingDown  Status = 38
	StatusInternal      Status = 39 // an internal error of the server; the connection is closed afterwards
	StatusNotDurable    Status = 40 // the change was made, but is not on disk
	StatusReadOnly      Status = 41 // the server cannot write to disk and accepts no changes
	// the request's deadline had passed before it could be executed; nothing was done
	StatusDeadlineExceeded Status = 42
	// the client has ended the request's wait; nothing was done
	StatusCanceled Status = 43
)

var statusNames = [...]string{
	StatusOK:              "OK",
	StatusKeyError:        "KeyError",
	StatusIndexError:      "IndexError",
	StatusTypeError:       "TypeError",
	StatusValueError:      "ValueError",
	StatusAttributeError:  "AttributeError",
	StatusOverflowError:   "OverflowError",
	StatusNoSuchTable:     "NoSuchTable",
	StatusTableExists:     "TableExists",
	StatusWrongTableKind:  "WrongTableKind",
	StatusVersionMismatch: "VersionMismatch",
	StatusBadFrame:        "BadFrame",
	StatusUnknownOpcode:   "UnknownOpcode",
	StatusBadArguments:    "BadArguments",
	StatusTooLarge:        "TooLarge",
	StatusUnsupported:     "Unsupported",
	StatusOverloaded:      "Overloaded",
	StatusShuttingDown:    "ShuttingDown",
	StatusInternal:        "Internal",
	StatusNotDurable:      "NotDurable",
	StatusReadOnly:        "ReadOnly",

	StatusDeadlineExceeded: "DeadlineExceeded",

	StatusLockLost:     "LockLost",
	StatusLeaseExpired: "LeaseExpired",
	StatusCanceled:     "Canceled",
}

// String returns the status's name, "status 99" for an unknown one.
func (s Status) String() string {
	if int(s) < len(statusNames) && statusNames[s] != "" {
		return statusNames[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// StatusOf returns the status code of one of Python's error kinds.
func StatusOf(kind value.Kind) Status {
	switch kind {
	case value.KeyError:
		return StatusKeyError
	case value.IndexError:
		return StatusIndexError
	case value.TypeError:
		return StatusTypeError
	case value.ValueError:
		return StatusValueError
	case value.AttributeError:
		return StatusAttributeError
	case value.OverflowError:
		return StatusOverflowError
	}
	return StatusInternal
}

// Error is the body of a reply whose status is not OK. Empty fields do not apply.
type Error struct {
	Status  Status
	Message string // one line, lower case like Python's own texts
	Table   string
	Key     []byte // one encoded value
	Want    string // the table kind that the request is for
	Have    string // the kind of the existing table
}

// Error returns the status's name and the message, with table and key if there are any.
func (e *Error) Error() string {
	text := e.Status.String() + ": " + e.Message
	if e.Table != "" {
		text += fmt.Sprintf(" (table %q)", e.Table)
	}
	return text
}

// AppendErrorBody appends the body of an error reply: message, table, key, want, have. A field that
// does not apply is nil or Absent.
func AppendErrorBody(dst []byte, e *Error) []byte {
	dst = msgp.AppendString(dst, e.Message)
	dst = appendOptional(dst, e.Table)
	if e.Key == nil {
		dst = append(dst, Absent)
	} else {
		dst = append(dst, e.Key...)
	}
	dst = appendOptional(dst, e.Want)
	return appendOptional(dst, e.Have)
}

func appendOptional(dst []byte, text string) []byte {
	if text == "" {
		return msgp.AppendNil(dst)
	}
	return msgp.AppendString(dst, text)
}

// ParseErrorBody reads the body of a reply with the given status. The texts and the key are copied.
//
// Errors: ErrFrame, wrapped, if the body is not as AppendErrorBody writes it. Fields after the
// known ones are skipped.
func ParseErrorBody(status Status, body []byte) (*Error, error) {
	e := &Error{Status: status}
	var err error
	if e.Message, body, err = msgp.ReadStringBytes(body); err != nil {
		return nil, fmt.Errorf("%w: error reply: %w", ErrFrame, err)
	}
	if e.Table, body, err = readOptional(body); err != nil {
		return nil, err
	}
	if len(body) > 0 && body[0] == Absent {
		body = body[1:]
	} else {
		n, err := value.Check(body)
		if err != nil {
			return nil, fmt.Errorf("%w: error reply's key: %w", ErrFrame, err)
		}
		e.Key = append([]byte(nil), body[:n]...)
		body = body[n:]
	}
	if e.Want, body, err = readOptional(body); err != nil {
		return nil, err
	}
	e.Have, _, err = readOptional(body)
	return e, err
}

func readOptional(b []byte) (text string, rest []byte, err error) {
	if len(b) > 0 && msgp.IsNil(b) {
		return "", b[1:], nil
	}
	text, rest, err = msgp.ReadStringBytes(b)
	if err != nil {
		return "", nil, fmt.Errorf("%w: error reply: %w", ErrFrame, err)
	}
	return text, rest, nil
}
