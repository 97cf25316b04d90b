package value

import (
	"github.com/tinylib/msgp/msgp"
)

// itemAt returns b[index], as Python finds it: a view, or new bytes where the element does not
// stand in b as a separate value.
func itemAt(b, index []byte) ([]byte, error) {
	x := open(b)
	switch x.t {
	case TypeDict, ExtOrderedDict, ExtCounter, ExtDefaultDict:
		return valueUnder(b, x, index)
	case ExtRange:
		return rangeItemAt(x, index)
	}
	length := x.n
	if x.t == TypeStr {
		length = runeCount(x.body)
	}
	words, ok := indexTexts[x.t]
	if !ok {
		return nil, typeErrorf("'%s' object is not subscriptable", TypeName(b))
	}
	i, err := position(index, length, words)
	if err != nil {
		return nil, err
	}
	switch x.t {
	case TypeStr:
		return runeAt(x.body, i), nil
	case TypeBytes, ExtByteArray:
		return AppendInt(nil, int64(x.body[i])), nil
	}
	body := x.body
	for range i {
		body = body[Size(body):]
	}
	found, _ := next(body)
	return found, nil
}

// indexText holds the words of the errors of one type.
type indexText struct {
	wrongType  string // a format for the name of the index's type
	outOfRange string
}

var indexTexts = map[Type]indexText{
	TypeList:     {"list indices must be integers or slices, not %s", "list index out of range"},
	ExtTuple:     {"tuple indices must be integers or slices, not %s", "tuple index out of range"},
	TypeStr:      {"string indices must be integers, not '%s'", "string index out of range"},
	TypeBytes:    {"byte indices must be integers or slices, not %s", "index out of range"},
	ExtByteArray: {"bytearray indices must be integers or slices, not %s", "bytearray index out of range"},
	ExtDeque:     {"sequence index must be integer, not '%s'", "deque index out of range"},
	ExtRange:     {"range indices must be integers or slices, not %s", "range object index out of range"},
}

// position reads an index into a sequence of length elements; negative ones count from the end.
func position(index []byte, length int, words indexText) (int, error) {
	t, _, _ := header(index)
	if !isIntegral(t) {
		return 0, typeErrorf(words.wrongType, TypeName(index))
	}
	i, isBig := int64(0), t == ExtBigInt
	if !isBig {
		i, isBig = integer(index)
	}
	if isBig {
		return 0, &Error{Kind: IndexError, Msg: "cannot fit 'int' into an index-sized integer"}
	}
	if i < 0 {
		i += int64(length)
	}
	if i < 0 || i >= int64(length) {
		return 0, &Error{Kind: IndexError, Msg: words.outOfRange}
	}
	return int(i), nil
}

// runeAt is the str of the code point with index i.
func runeAt(text []byte, i int) []byte {
	for range i {
		_, n := decodeRune(text)
		text = text[n:]
	}
	_, n := decodeRune(text)
	return msgp.AppendStringFromBytes(nil, text[:n])
}

func rangeItemAt(x item, index []byte) ([]byte, error) {
	words := indexTexts[ExtRange]
	if t, _, _ := header(index); !isIntegral(t) {
		return nil, typeErrorf(words.wrongType, TypeName(index))
	}
	r, i := spanOf(x), bigInt(index)
	length := r.len()
	if i.Sign() < 0 {
		i.Add(i, length)
	}
	if i.Sign() < 0 || i.Cmp(length) >= 0 {
		return nil, &Error{Kind: IndexError, Msg: words.outOfRange}
	}
	return appendAnyInt(nil, r.at(i)), nil
}

// valueUnder looks a key up in a dict. What is not there is 0 in a Counter, and in a defaultdict
// what its factory makes.
func valueUnder(b []byte, x item, key []byte) ([]byte, error) {
	var room, itemRoom [64]byte
	want, unequal, err := Key(key, room[:0])
	if err != nil {
		return nil, err
	}
	body := x.body
	for range x.n {
		var k []byte
		k, body = next(body)
		have, _, err := Key(k, itemRoom[:0])
		if err == nil && !unequal && string(have) == string(want) {
			found, _ := next(body)
			return found, nil
		}
		body = body[Size(body):]
	}
	switch x.t {
	case ExtCounter:
		return []byte{0}, nil
	case ExtDefaultDict:
		if made, ok := madeBy(factoryOf(b)); ok {
			return made, nil
		}
	}
	return nil, keyError(key)
}

// madeBy is what a built-in factory makes of nothing.
func madeBy(factory string) ([]byte, bool) {
	switch factory {
	case "int":
		return []byte{0}, true
	case "float":
		return appendFloat(nil, 0), true
	case "bool":
		return msgp.AppendBool(nil, false), true
	case "str":
		return msgp.AppendString(nil, ""), true
	case "bytes":
		return msgp.AppendBytes(nil, []byte{}), true
	case "list":
		return msgp.AppendArrayHeader(nil, 0), true
	case "dict":
		return msgp.AppendMapHeader(nil, 0), true
	case "tuple":
		return WrapExt(msgp.AppendArrayHeader(nil, 0), 0, ExtTuple), true
	case "set":
		return WrapExt(msgp.AppendArrayHeader(nil, 0), 0, ExtSet), true
	}
	return nil, false
}
