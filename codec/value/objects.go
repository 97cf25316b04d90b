package value

import "bytes"

// ObjectIn returns the class of the first object of a program's own class (Object) among checked
// values that are back to back, at any depth, and whether there is one.
func ObjectIn(values []byte) (class string, found bool) {
	if bytes.IndexByte(values, ExtObject) < 0 {
		return "", false
	}
	for at := 0; at < len(values); {
		t, start, n := header(values[at:])
		switch t {
		case ExtObject:
			name := open(values[at:]).body
			_, start, n := header(name)
			return string(name[start : start+n]), true
		case TypeList,
			TypeDict,
			ExtTuple,
			ExtSet,
			ExtFrozenSet,
			ExtOrderedDict,
			ExtCounter,
			ExtDefaultDict,
			ExtDeque,
			ExtException,
			ExtSlice:
			at += start // what it holds stands after it
		default:
			at += start + n
		}
	}
	return "", false
}
