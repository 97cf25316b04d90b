package pickle

import (
	"errors"
	"fmt"
)

// ErrShort is returned when the bytes end inside a pickle and more could complete it.
var ErrShort = errors.New("the pickle ends too early")

// Error says why and where bytes are not an acceptable pickle: "at byte 12: GLOBAL: class os.system
// is not taken".
type Error struct {
	At    int    // offset of the opcode
	Op    string // its name; "" for an invalid byte
	Msg   string
	Class string // "module.name" of the rejected class; "" if the error is not about a class
}

func (e *Error) Error() string {
	if e.Op == "" {
		return fmt.Sprintf("at byte %d: %s", e.At, e.Msg)
	}
	return fmt.Sprintf("at byte %d: %s: %s", e.At, e.Op, e.Msg)
}

// refusal is the error for a class that is not accepted.
func refusal(at int, op, class string) *Error {
	return &Error{
		At:    at,
		Op:    op,
		Class: class,
		Msg: fmt.Sprintf(
			"%s is not among the types that are taken; it was not looked up, and nothing was called",
			class,
		),
	}
}
