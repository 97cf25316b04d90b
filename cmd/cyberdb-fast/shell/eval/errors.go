package eval

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/value"
)

// Error is what Python would raise.
type Error struct {
	Kind string // "TypeError"
	Msg  string
}

// Error gives "TypeError: unhashable type: 'list'".
func (e *Error) Error() string { return e.Kind + ": " + e.Msg }

func typeError(format string, args ...any) error {
	return &Error{"TypeError", fmt.Sprintf(format, args...)}
}

func valueError(format string, args ...any) error {
	return &Error{"ValueError", fmt.Sprintf(format, args...)}
}

// pythonNames are the Python client's names of the client's errors. Those of Python itself are in
// the texts of the errors.
var pythonNames = []struct {
	err  error
	name string
}{
	{client.ErrNoSuchTable, "NoSuchTable"},
	{client.ErrTableExists, "TableExists"},
	{client.ErrWrongTableKind, "WrongTableKind"},
	{client.ErrVersionMismatch, "VersionMismatch"},
	{client.ErrTooLarge, "TooLarge"},
	{client.ErrReplyTooLarge, "ReplyTooLarge"},
	{client.ErrLeaseExpired, "LeaseExpired"},
	{client.ErrLockLost, "LockLost"},
	{client.ErrOverloaded, "Overloaded"},
	{client.ErrNotDurable, "NotDurable"},
	{client.ErrReadOnly, "ReadOnly"},
	{client.ErrDeadlineExceeded, "DeadlineExceeded"},
	{context.DeadlineExceeded, "RequestTimeout"},
	{client.ErrWrongPassword, "WrongPassword"},
	{client.ErrConnectionLost, "ConnectionLost"},
	{client.ErrRefused, "ConnectionRefused"},
	{client.ErrUnsent, "ServerUnreachable"},
}

// Explain returns an error in one line, as Python prints it: "KeyError: 'bob'".
func Explain(err error) string {
	var parse *syntax.Error
	var failed *client.Error
	switch {
	case errors.As(err, &parse):
		return oneLine(parse.Error())
	case errors.Is(err, context.Canceled):
		return "KeyboardInterrupt"
	case errors.As(err, &failed):
		return oneLine(explainRequest(failed))
	}
	return oneLine(strings.TrimPrefix(err.Error(), "cyberdb: "))
}

func explainRequest(failed *client.Error) string {
	whole := *failed
	whole.Op, whole.Table = "", ""
	msg := strings.TrimPrefix(whole.Error(), "cyberdb: ")
	for _, known := range []error{
		client.ErrKey, client.ErrIndex, client.ErrType, client.ErrValue, client.ErrAttribute, client.ErrOverflow,
	} {
		if errors.Is(failed, known) && strings.HasPrefix(msg, known.Error()) {
			return msg
		}
	}
	for _, known := range pythonNames {
		if errors.Is(failed, known.err) {
			return known.name + ": " + strings.TrimPrefix(msg, known.err.Error()+": ")
		}
	}
	return msg
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " ") }

// checkValue says what Python would say of a value that cannot be stored.
func checkValue(b []byte) error {
	_, err := value.Check(b)
	if err == nil {
		return nil
	}
	var python *value.Error
	if errors.As(err, &python) {
		return python
	}
	return valueError("%v", err)
}
