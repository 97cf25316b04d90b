package value

import (
	"strconv"
	"strings"
)

var typeNames = [256]string{
	TypeNil:        "NoneType",
	TypeBool:       "bool",
	TypeInt:        "int",
	TypeFloat:      "float",
	TypeStr:        "str",
	TypeBytes:      "bytes",
	TypeList:       "list",
	TypeDict:       "dict",
	ExtBigInt:      "int",
	ExtTuple:       "tuple",
	ExtSet:         "set",
	ExtFrozenSet:   "frozenset",
	ExtByteArray:   "bytearray",
	ExtOrderedDict: "collections.OrderedDict",
	ExtDateTime:    "datetime.datetime",
	ExtDate:        "datetime.date",
	ExtTime:        "datetime.time",
	ExtTimeDelta:   "datetime.timedelta",
	ExtDecimal:     "decimal.Decimal",
	ExtFraction:    "Fraction",
	ExtUUID:        "UUID",
	ExtComplex:     "complex",
	ExtRange:       "range",
	ExtSlice:       "slice",
	ExtDeque:       "collections.deque",
	ExtCounter:     "Counter",
	ExtDefaultDict: "collections.defaultdict",
}

// TypeName returns the name of the type of the checked value at the front of b as CPython's
// messages write it: "NoneType", "int", "datetime.datetime", "decimal.Decimal"; types written in
// Python go without their module ("UUID", "Fraction", "Counter"), as there. An application type is
// "extension 64".
func TypeName(b []byte) string {
	t, _, _ := header(b)
	if name := typeNames[t]; name != "" {
		return name
	}
	switch t {
	case ExtSingleton:
		if isNotImplemented(b) {
			return "NotImplementedType"
		}
		return "ellipsis"
	case ExtException, ExtObject:
		return lastPart(string(content(open(b).body)))
	}
	return "extension " + strconv.Itoa(int(t))
}

// lastPart is the class's own name in a path; a path without one, which no class has, is "object".
func lastPart(path string) string {
	if name := path[strings.LastIndexByte(path, '.')+1:]; name != "" {
		return name
	}
	return "object"
}

// singletons are the names of the lone objects besides None, True and False, by their payload.
var singletons = [...]string{"Ellipsis", "NotImplemented"}

// isNotImplemented tells the two singletons apart.
func isNotImplemented(b []byte) bool { return open(b).body[0] == 1 }

// content returns the payload of the str, bytes or extension object at the front of b.
func content(b []byte) []byte {
	_, start, n := header(b)
	return b[start : start+n]
}
