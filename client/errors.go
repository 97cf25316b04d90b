package client

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/secure"
)

// Errors of Python's own kinds, found by errors.Is. The request has changed nothing.
var (
	// ErrKey is returned when a dict has no such key, or is empty where an item is due (KeyError).
	ErrKey = errors.New("KeyError")
	// ErrIndex is returned when a list has no such index, or is empty where an item is due
	// (IndexError).
	ErrIndex = errors.New("IndexError")
	// ErrType is returned when a value cannot do what is asked: an unhashable key, '<' between str
	// and int (TypeError).
	ErrType = errors.New("TypeError")
	// ErrValue is returned when a list has no such element, a step is 0, or a value is refused
	// (ValueError).
	ErrValue = errors.New("ValueError")
	// ErrAttribute is returned when a sort key asks an element for what it has not
	// (AttributeError).
	ErrAttribute = errors.New("AttributeError")
	// ErrOverflow is returned when a number becomes too large (OverflowError).
	ErrOverflow = errors.New("OverflowError")
)

// Errors about tables and entries, found by errors.Is. The request has changed nothing.
var (
	// ErrNoSuchTable is returned when no table has the name.
	ErrNoSuchTable = errors.New("no such table")
	// ErrTableExists is returned when a table of the name is there already.
	ErrTableExists = errors.New("table exists")
	// ErrWrongTableKind is returned when the table is a list and the request is for a dict, or the
	// other way round.
	ErrWrongTableKind = errors.New("wrong table kind")
	// ErrVersionMismatch is returned when the entry has not the version that the request names.
	ErrVersionMismatch = errors.New("version mismatch")
)

// Errors about the request, the connection or the server, found by errors.Is.
var (
	// ErrTooLarge is returned when a request is beyond the server's limits, most often before it is
	// sent. Nothing has changed.
	ErrTooLarge = errors.New("too large")
	// ErrBadRequest is returned when the server does not take the request as it is: a table's name
	// that is empty or too long, or a request that an older server does not know. Nothing has
	// changed.
	ErrBadRequest = errors.New("bad request")
	// ErrOverloaded is returned when the server has no room for the request or for the connection.
	// Nothing has changed.
	ErrOverloaded = errors.New("server overloaded")
	// ErrShuttingDown is returned when the server is stopping. Nothing has changed.
	ErrShuttingDown = errors.New("server shutting down")
	// ErrNotDurable is returned when the change is made and could not be written to disk: it may be
	// gone after a restart. Of Save: nothing is saved.
	ErrNotDurable = errors.New("not on disk")
	// ErrReadOnly is returned when the server cannot write to its disk any more. Nothing has
	// changed.
	ErrReadOnly = errors.New("server cannot write to its disk")
	// ErrServer is returned when the server met a defect of its own. The request may have been
	// applied.
	ErrServer = errors.New("internal server error")
	// ErrUnsent is returned when no connection could be had: the request was never sent and nothing
	// has changed.
	ErrUnsent = errors.New("request not sent")
	// ErrConnectionLost is returned when the connection ended before the reply came: the request
	// may or may not have been applied.
	ErrConnectionLost = errors.New("connection lost")
	// ErrClosed is returned when the client has been closed. It comes with ErrUnsent or
	// ErrConnectionLost, which say whether the request may have been applied.
	ErrClosed = errors.New("client closed")
	// ErrRefused is returned when the server ended the connection while it was being opened; the
	// more exact ErrWrongPassword, ErrEncryption, ErrOverloaded or ErrShuttingDown holds as well
	// where it applies.
	ErrRefused = errors.New("connection refused by the server")
	// ErrEncryption is returned when the server encrypts and the client does not, or the other way
	// round.
	ErrEncryption = errors.New("encryption differs")
	// ErrWrongPassword is returned when client and server do not know the same password.
	ErrWrongPassword = errors.New("wrong password")
	// ErrProtocol is returned when what answers does not speak the protocol.
	ErrProtocol = errors.New("protocol error")
	// ErrReplyTooLarge is returned when a reply has more than Options.MaxReplyBytes. A request that
	// changes something has been applied.
	ErrReplyTooLarge = errors.New("reply too large")
	// ErrSlowReader is returned when a streamed read falls further behind than
	// Options.ReadAheadBytes.
	ErrSlowReader = errors.New("reading too slowly")
	// ErrNotDone is returned by a Future whose pipeline has not been done.
	ErrNotDone = errors.New("pipeline not done")
)

// Error is what every failed request returns. errors.Is finds the sentinels of this package in it,
// and the cause: context.DeadlineExceeded, context.Canceled, a *net.OpError, a *govalue.PathError.
type Error struct {
	Op      string // the request, "DICT GET"; empty if opening the connection failed
	Table   string // empty if the request is for no table
	Key     any    // the key that the error is about, decoded; nil if none
	Want    Kind   // ErrWrongTableKind: the kind that the request is for
	Have    Kind   // ErrWrongTableKind: the kind of the table that is there
	Message string // the server's text; empty if the error arose here
	Err     error  // one of the sentinels, or the cause
}

// Error returns one line: `cyberdb: DICT GET "users": KeyError: 'bob'`.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString("cyberdb: ")
	if e.Op != "" {
		text.WriteString(e.Op)
		if e.Table != "" {
			text.WriteString(" " + strconv.Quote(e.Table))
		}
		text.WriteString(": ")
	}
	switch {
	case e.Err == nil || e.Message != "" && saysAll(e.Err):
		text.WriteString(e.Message)
	case e.Message == "":
		text.WriteString(e.Err.Error())
	default:
		text.WriteString(e.Err.Error() + ": " + e.Message)
	}
	return text.String()
}

// saysAll is true of the errors whose message from the server has all that their own text says.
func saysAll(err error) bool {
	return slices.Contains([]error{ErrNoSuchTable, ErrTableExists, ErrWrongTableKind, ErrVersionMismatch}, err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// statusErrors gives the sentinel for each status; a status that is not here is one of a newer
// server.
var statusErrors = map[codec.Status]error{
	codec.StatusKeyError:        ErrKey,
	codec.StatusIndexError:      ErrIndex,
	codec.StatusTypeError:       ErrType,
	codec.StatusValueError:      ErrValue,
	codec.StatusAttributeError:  ErrAttribute,
	codec.StatusOverflowError:   ErrOverflow,
	codec.StatusNoSuchTable:     ErrNoSuchTable,
	codec.StatusTableExists:     ErrTableExists,
	codec.StatusWrongTableKind:  ErrWrongTableKind,
	codec.StatusVersionMismatch: ErrVersionMismatch,
	codec.StatusBadFrame:        ErrProtocol,
	codec.StatusUnknownOpcode:   ErrBadRequest,
	codec.StatusBadArguments:    ErrBadRequest,
	codec.StatusTooLarge:        ErrTooLarge,
	codec.StatusUnsupported:     ErrBadRequest,
	codec.StatusOverloaded:      ErrOverloaded,
	codec.StatusShuttingDown:    ErrShuttingDown,
	codec.StatusInternal:        ErrServer,
	codec.StatusNotDurable:      ErrNotDurable,
	codec.StatusReadOnly:        ErrReadOnly,
}

// replyError is the error that an error reply stands for.
func replyError(op, table string, status codec.Status, body []byte) error {
	e := &Error{Op: op, Table: table, Err: statusErrors[status]}
	if e.Err == nil {
		e.Err = fmt.Errorf("%w: %s", ErrServer, status)
	}
	wire, err := codec.ParseErrorBody(status, body)
	if err != nil {
		e.Message = "no readable message"
		return e
	}
	e.Message, e.Want, e.Have = wire.Message, Kind(wire.Want), Kind(wire.Have)
	if wire.Table != "" {
		e.Table = wire.Table
	}
	if wire.Key != nil {
		if key, _, err := govalue.Decode(wire.Key); err == nil {
			e.Key = key
		}
	}
	return e
}

// refused wraps what went wrong while a connection was being opened in the sentinels that fit.
func refused(err error) error {
	var refusal *secure.Refusal
	switch {
	case errors.As(err, &refusal):
		switch refusal.Code {
		case secure.RefusedPassword:
			return fmt.Errorf("%w: %w", ErrRefused, ErrWrongPassword)
		case secure.RefusedEncryption:
			return &refusedError{ErrEncryption, refusal.Text}
		case secure.RefusedTooManyConnections:
			return &refusedError{ErrOverloaded, refusal.Text}
		case secure.RefusedShutdown:
			return fmt.Errorf("%w: %w", ErrRefused, ErrShuttingDown)
		}
		return fmt.Errorf("%w: %s", ErrRefused, refusal.Text)
	case errors.Is(err, secure.ErrProof):
		return fmt.Errorf("%w: the server could not prove that it knows it", ErrWrongPassword)
	}
	return err
}

// refusedError is a refusal whose text has all that its kind says.
type refusedError struct {
	kind error
	text string
}

func (e *refusedError) Error() string   { return ErrRefused.Error() + ": " + e.text }
func (e *refusedError) Unwrap() []error { return []error{ErrRefused, e.kind} }

// hopeless says whether opening a connection failed in a way that trying again at once will not
// mend.
func hopeless(err error) bool {
	return errors.Is(err, ErrWrongPassword) || errors.Is(err, ErrProtocol) ||
		errors.Is(err, ErrRefused) && !errors.Is(err, ErrShuttingDown) && !errors.Is(err, ErrOverloaded)
}
