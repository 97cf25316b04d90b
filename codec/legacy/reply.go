package legacy

import (
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// replyForm says what a reply's content is.
type replyForm uint8

const (
	replyDone      replyForm = iota // none
	replyConnected                  // none, but a message
	replyCreated                    // none; an existing table is not an exception
	replyFound                      // none; the code has the answer
	replyValue                      // the value
	replyList                       // a list of the values
	replyPairs                      // a list of tuples of two
	replyPair                       // a tuple of the two values
	replyDict                       // a dict of the keys and values
	replyDictText                   // the text of one
	replyListText                   // the text of a list
	replyTables                     // a list of names and kinds
)

// The codes of replies.
const (
	failed = 0
	done   = 1
)

func beginReply(dst []byte, code int) []byte {
	return pickle.AppendInt(pickle.AppendText(pickle.AppendDict(pickle.Begin(dst)), "code"), int64(code))
}

func endReply(dst []byte) []byte { return pickle.End(pickle.EndDict(dst)) }

// AppendReply appends the pickle of the reply, made from status and body of the native one. Errors:
// *Exception, the reply instead; ErrOtherKind.
func (r *Request) AppendReply(dst []byte, status codec.Status, body []byte) ([]byte, error) {
	switch {
	case status == codec.StatusTableExists && r.form == replyCreated:
		return endReply(beginReply(dst, failed)), nil
	case status != codec.StatusOK:
		return dst, r.failure(status, body)
	case r.after != nil:
		return dst, r.after
	case r.form == replyFound:
		code := failed
		if yes, _, _ := msgp.ReadBoolBytes(body); yes {
			code = done
		}
		return endReply(beginReply(dst, code)), nil
	case r.form == replyConnected:
		dst = pickle.AppendText(pickle.AppendText(beginReply(dst, done), "message"), "connection succeeded.")
		return endReply(dst), nil
	case r.form == replyDone, r.form == replyCreated:
		return endReply(beginReply(dst, done)), nil
	}
	if class, found := value.ObjectIn(
		body,
	); found && !r.u.KeepOpaque && r.form != replyDictText &&
		r.form != replyListText {
		return dst, keptFromReader(class)
	}
	at := len(dst)
	dst, err := r.appendContent(pickle.AppendText(beginReply(dst, done), "content"), body)
	if err != nil {
		return dst[:at], exceptionOf(err)
	}
	return endReply(dst), nil
}

// keptFromReader is the reply in place of an object that is stored as opaque bytes, or that a
// native client has stored: a client that reads it executes what it says.
func keptFromReader(class string) *Exception {
	return NewException(
		"TypeError",
		fmt.Sprintf(
			"%s is a class of a program's own, and reading an object of it runs its code: this server gives "+
				"such to no client without --keep-opaque",
			class,
		),
	)
}

func (r *Request) appendContent(dst, body []byte) ([]byte, error) {
	switch r.form {
	case replyList:
		return pickle.AppendListOf(dst, body)
	case replyDict:
		return pickle.AppendDictOf(dst, body)
	case replyPairs:
		return pickle.AppendPairsOf(dst, body)
	case replyPair:
		dst, err := pickle.AppendValues(dst, body)
		return pickle.EndPair(dst), err
	case replyDictText, replyListText:
		r.made = appendTable(r.made[:0], body, r.form == replyDictText)
		text, err := value.Repr(r.made)
		return pickle.AppendText(dst, text), err
	case replyTables:
		return appendTables(dst, body)
	}
	return pickle.AppendValue(dst, body)
}

// appendTables makes a list of (name, kind) of names, kinds and lengths.
func appendTables(dst, body []byte) ([]byte, error) {
	dst = pickle.AppendList(dst)
	for len(body) > 0 {
		name, rest, err := msgp.ReadStringZC(body)
		if err != nil {
			return dst, err
		}
		kind, rest, err := msgp.ReadStringZC(rest)
		if err != nil {
			return dst, err
		}
		class := "CyberDict"
		if string(kind) == "list" {
			class = "CyberList"
		}
		dst = pickle.EndPair(pickle.AppendText(pickle.AppendText(dst, name), class))
		body = rest[value.Size(rest):]
	}
	return pickle.EndList(dst), nil
}

// errOtherKind is the type of ErrOtherKind.
type errOtherKind struct{}

func (errOtherKind) Error() string { return "the table is of the other kind by now" }

// ErrOtherKind is returned when the table has been replaced by one of the other kind since
// Translate: translate again.
var ErrOtherKind error = errOtherKind{}

// failure is the reply to a request that the server could not execute.
func (r *Request) failure(status codec.Status, body []byte) error {
	e, err := codec.ParseErrorBody(status, body)
	if err != nil {
		return NewException("RuntimeError", err.Error())
	}
	switch status {
	case codec.StatusWrongTableKind:
		return ErrOtherKind
	case codec.StatusNoSuchTable:
		return NewException("KeyError", e.Table)
	case codec.StatusKeyError:
		key := e.Key
		if key == nil { // it was too large for a native error
			key = r.key
		}
		if key == nil {
			return NewException("KeyError", e.Message)
		}
		return &Exception{"KeyError", key}
	case codec.StatusIndexError,
		codec.StatusTypeError,
		codec.StatusValueError,
		codec.StatusAttributeError,
		codec.StatusOverflowError:
		return NewException(status.String(), e.Message)
	}
	return NewException("RuntimeError", fmt.Sprintf("%v: %s", status, e.Message))
}
