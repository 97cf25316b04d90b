package govalue

import (
	"encoding/hex"
	"fmt"
)

// Decimal is a decimal.Decimal as str(Decimal) writes it: "1.10", "-0", "1E+5", "NaN", "sNaN",
// "Infinity". At most 8192 bytes.
type Decimal string

// UUID is a uuid.UUID: its 16 bytes in the order of the text form.
type UUID [16]byte

// String gives the usual text form, 8-4-4-4-12 hexadecimal digits.
func (u UUID) String() string {
	var text [36]byte
	hex.Encode(text[0:8], u[0:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:36], u[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// Range is a Python range. The three are integers of any size (any Go integer type or *big.Int);
// Step is not 0.
type Range struct{ Start, Stop, Step any }

// Slice is a Python slice; each part is any value, nil for None.
type Slice struct{ Start, Stop, Step any }

// Singleton is one of Python's lone objects besides None, True and False.
type Singleton uint8

// The singletons, numbered as on the wire.
const (
	Ellipsis Singleton = iota
	NotImplemented
)

// String gives Python's name of the singleton.
func (s Singleton) String() string {
	switch s {
	case Ellipsis:
		return "Ellipsis"
	case NotImplemented:
		return "NotImplemented"
	}
	return fmt.Sprintf("Singleton(%d)", uint8(s))
}

// Exception is a Python exception: the name of its class and its arguments.
type Exception struct {
	Class string
	Args  []any
}

// Object is a Python object that is stored as opaque bytes: the path of its class and the bytes the
// client made of it.
type Object struct {
	Class string
	Data  []byte
}

// Ext is a value of an application type: Code is 64 to 127, Data the application's own.
type Ext struct {
	Code int8
	Data []byte
}
