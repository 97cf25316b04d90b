package legacy

import (
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// Exception is one of Python's exceptions, as a reply carries it.
type Exception struct {
	Class    string
	Argument []byte // one encoded value
}

// NewException returns an exception with a text.
func NewException(class, text string) *Exception {
	return &Exception{class, value.AppendStr(nil, text)}
}

func (e *Exception) Error() string {
	text, err := value.Str(e.Argument)
	if err != nil {
		return e.Class
	}
	return e.Class + ": " + text
}

// AppendReply appends the pickle of the reply that carries the exception.
func (e *Exception) AppendReply(dst []byte) []byte {
	argument, err := pickle.AppendValue(nil, e.Argument)
	if err != nil {
		argument = pickle.AppendText(nil, e.Error())
	}
	dst = beginReply(dst, failed)
	dst = pickle.AppendException(pickle.AppendText(dst, "Exception"), e.Class, argument)
	return endReply(dst)
}
