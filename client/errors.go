package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/secure"
)

// Errors of Python's own kinds, for errors.Is. The request has changed nothing.
var (
	// ErrKey is returned when a dict does not have the key, or PopItem finds it empty (KeyError).
	ErrKey = errors.New("KeyError")
	// ErrIndex is returned when an index is out of the list's range, or a pop finds it empty
	// (IndexError).
	ErrIndex = errors.New("IndexError")
	// ErrType is returned when a value does not support the operation, such as an unhashable key or
	// '<' between str and int (TypeError).
	ErrType = errors.New("TypeError")
	// ErrValue is returned when a list does not have the element, a step is 0, a time to live or an
	// option is out of range, or the server does not accept a value (ValueError).
	ErrValue = errors.New("ValueError")
	// ErrAttribute is returned when an element lacks an attribute that a sort key needs
	// (AttributeError).
	ErrAttribute = errors.New("AttributeError")
	// ErrOverflow is returned when a number becomes too large (OverflowError).
	ErrOverflow = errors.New("OverflowError")
)

// Errors about tables and entries, for errors.Is. The request has changed nothing.
var (
	// ErrNoSuchTable is returned when the table does not exist.
	ErrNoSuchTable = errors.New("no such table")
	// ErrTableExists is returned when a table of that name exists already.
	ErrTableExists = errors.New("table exists")
	// ErrWrongTableKind is returned when the table is a list and the request is for a dict, or vice
	// versa.
	ErrWrongTableKind = errors.New("wrong table kind")
	// ErrVersionMismatch is returned when the entry's version is not the one in the request.
	ErrVersionMismatch = errors.New("version mismatch")
)

// Errors about waiting and owning, for errors.Is. The request has changed nothing.
var (
	// ErrLockHeld is returned when the wait for a lock has ended and other owners have it.
	ErrLockHeld = errors.New("lock held by another owner")
	// ErrLockLost is returned when a lock is no longer held: its lease has ended, or it was
	// released. If a request was refused because of IfFence, Key of the *Error is the present
	// fence, 0 if the lock is free.
	ErrLockLost = errors.New("lock lost")
	// ErrLeaseExpired is returned when the lease of a queue's item has ended: by time, or because
	// the item was acknowledged or returned.
	ErrLeaseExpired = errors.New("lease expired")
	// ErrCanceled is returned when the wait of a request was ended by another request.
	ErrCanceled = errors.New("wait canceled")
)

// Errors about the request, the connection or the server, for errors.Is.
var (
	// ErrTooLarge is returned when a request exceeds the server's limits, in most cases before it
	// is sent. Nothing has changed.
	ErrTooLarge = errors.New("too large")
	// ErrBadRequest is returned when the request is not valid: a table name is empty or too long,
	// or the server is older and does not know the request. Nothing has changed.
	ErrBadRequest = errors.New("bad request")
	// ErrOverloaded is returned when the server has no memory for the request or no free
	// connection, or when a dict is at a limit and its policy removes nothing. Nothing has changed.
	ErrOverloaded = errors.New("server overloaded")
	// ErrShuttingDown is returned when the server is stopping. Nothing has changed.
	ErrShuttingDown = errors.New("server shutting down")
	// ErrDeadlineExceeded is returned when the context's deadline passed before the server began to
	// execute the request. Nothing has changed. It is also a context.DeadlineExceeded. One that is
	// not an ErrDeadlineExceeded means that the client stopped waiting: if the request was sent, it
	// may or may not have been applied.
	ErrDeadlineExceeded = fmt.Errorf("nothing was done: %w", context.DeadlineExceeded)
	// ErrNotDurable is returned when the change was applied but could not be written to disk: a
	// restart may lose it. From Save, it means that nothing was saved.
	ErrNotDurable = errors.New("not on disk")
	// ErrReadOnly is returned when the server can no longer write to its disk. Nothing has changed.
	ErrReadOnly = errors.New("server cannot write to its disk")
	// ErrServer is returned when the server has an internal error. The request may have been
	// applied.
	ErrServer = errors.New("internal server error")
	// ErrUnsent is returned when there was no connection: the request was never sent and nothing
	// has changed.
	ErrUnsent = errors.New("request not sent")
	// ErrConnectionLost is returned when the connection ended before the reply came: the request
	// may or may not have been applied.
	ErrConnectionLost = errors.New("connection lost")
	// ErrClosed is returned when the client has been closed. It comes with ErrUnsent or
	// ErrConnectionLost, which say whether the request may have been applied. A Subscription
	// returns it after its Close.
	ErrClosed = errors.New("client closed")
	// ErrRefused is returned when the server refused the connection. If the reason is known, the
	// error is also one of ErrWrongPassword, ErrEncryption, ErrOverloaded and ErrShuttingDown.
	ErrRefused = errors.New("connection refused by the server")
	// ErrEncryption is returned when the server encrypts and the client does not, or vice versa.
	ErrEncryption = errors.New("encryption differs")
	// ErrWrongPassword is returned when client and server have different passwords.
	ErrWrongPassword = errors.New("wrong password")
	// ErrProtocol is returned when the server does not follow the protocol; it may be another kind
	// of server.
	ErrProtocol = errors.New("protocol error")
	// ErrReplyTooLarge is returned when a reply has more than Options.MaxReplyBytes. The request
	// has been applied.
	ErrReplyTooLarge = errors.New("reply too large")
	// ErrSlowReader is returned when a streamed read falls further behind than
	// Options.ReadAheadBytes.
	ErrSlowReader = errors.New("reading too slowly")
	// ErrNotDone is returned by a Future before Do of its pipeline has returned.
	ErrNotDone = errors.New("pipeline not done")
)

// Error is the error of every failed request. errors.Is and errors.As find the sentinels of this
// package in it, and the cause: context.DeadlineExceeded, context.Canceled, a *net.OpError, a
// *govalue.PathError.
type Error struct {
	Op      string // the request, such as "DICT GET"; empty if opening the connection failed
	Table   string // empty if the request is for no table
	Key     any    // the key that the error is about, decoded; nil if none
	Want    Kind   // with ErrWrongTableKind: the kind that the request needs
	Have    Kind   // with ErrWrongTableKind: the kind of the table
	Message string // the server's message; empty if the error arose in the client
	Err     error  // a sentinel of this package, or the cause
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
	case e.Err == nil || e.Message != "" && includesText(e.Err):
		text.WriteString(e.Message)
	case e.Message == "":
		text.WriteString(e.Err.Error())
	default:
		text.WriteString(e.Err.Error() + ": " + e.Message)
	}
	return text.String()
}

// includesText says whether the server's message for err includes the text of err itself.
func includesText(err error) bool {
	return slices.Contains([]error{ErrNoSuchTable, ErrTableExists, ErrWrongTableKind, ErrVersionMismatch}, err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// statusErrors maps each status to its sentinel. Newer servers may send a status that is not here.
var statusErrors = map[codec.Status]error{
	codec.StatusKeyError:         ErrKey,
	codec.StatusIndexError:       ErrIndex,
	codec.StatusTypeError:        ErrType,
	codec.StatusValueError:       ErrValue,
	codec.StatusAttributeError:   ErrAttribute,
	codec.StatusOverflowError:    ErrOverflow,
	codec.StatusNoSuchTable:      ErrNoSuchTable,
	codec.StatusTableExists:      ErrTableExists,
	codec.StatusWrongTableKind:   ErrWrongTableKind,
	codec.StatusVersionMismatch:  ErrVersionMismatch,
	codec.StatusLockLost:         ErrLockLost,
	codec.StatusLeaseExpired:     ErrLeaseExpired,
	codec.StatusBadFrame:         ErrProtocol,
	codec.StatusUnknownOpcode:    ErrBadRequest,
	codec.StatusBadArguments:     ErrBadRequest,
	codec.StatusTooLarge:         ErrTooLarge,
	codec.StatusUnsupported:      ErrBadRequest,
	codec.StatusOverloaded:       ErrOverloaded,
	codec.StatusShuttingDown:     ErrShuttingDown,
	codec.StatusInternal:         ErrServer,
	codec.StatusNotDurable:       ErrNotDurable,
	codec.StatusReadOnly:         ErrReadOnly,
	codec.StatusDeadlineExceeded: ErrDeadlineExceeded,
	codec.StatusCanceled:         ErrCanceled,
}

// replyError returns the *Error for an error reply.
func replyError(op, table string, status codec.Status, body []byte) error {
	e := &Error{Op: op, Table: table, Err: statusErrors[status]}
	if e.Err == nil {
		e.Err = fmt.Errorf("%w: %s", ErrServer, status)
	}
	wire, err := codec.ParseErrorBody(status, body)
	if err != nil {
		e.Message = "the server's message cannot be decoded"
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

// refused wraps a handshake error in the sentinels that fit.
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
		return fmt.Errorf("%w: the server could not prove that it knows the password", ErrWrongPassword)
	}
	return err
}

// refusedError is a refusal whose text already says what its kind is.
type refusedError struct {
	kind error
	text string
}

func (e *refusedError) Error() string   { return ErrRefused.Error() + ": " + e.text }
func (e *refusedError) Unwrap() []error { return []error{ErrRefused, e.kind} }

// isPermanent says whether err, from opening a connection, would occur again at the next attempt.
func isPermanent(err error) bool {
	return errors.Is(err, ErrWrongPassword) || errors.Is(err, ErrProtocol) ||
		errors.Is(err, ErrRefused) && !errors.Is(err, ErrShuttingDown) && !errors.Is(err, ErrOverloaded)
}
