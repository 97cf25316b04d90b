package value

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// Str returns str() of the checked value at the front of b, lone surrogates as their three bytes.
//
// Errors: *Error ValueError for ints of more than 4300 digits, as Python raises it.
func Str(b []byte) (string, error) {
	dst, err := appendStr(nil, b)
	return string(dst), err
}

// Repr returns repr() of the checked value at the front of b. Sets stand in their stored order. An
// object that is stored as opaque bytes is "<path.Class object>", an application type "<extension
// 64: 3 bytes>". Errors: as Str.
func Repr(b []byte) (string, error) {
	dst, err := appendRepr(nil, b)
	return string(dst), err
}

// appendStr appends str(b), which differs from the repr for some types.
func appendStr(dst, b []byte) ([]byte, error) {
	x := open(b)
	switch x.t {
	case TypeStr, ExtDecimal:
		return append(dst, x.body...), nil
	case ExtFraction:
		return appendFractionStr(dst, x)
	case ExtUUID:
		return appendUUID(dst, x.body), nil
	case ExtDateTime, ExtDate, ExtTime, ExtTimeDelta:
		return appendTimeStr(dst, x), nil
	case ExtException:
		return appendExceptionStr(dst, x)
	}
	return appendRepr(dst, b)
}

// appendRepr appends repr(b).
func appendRepr(dst, b []byte) ([]byte, error) {
	x := open(b)
	switch x.t {
	case TypeNil:
		return append(dst, "None"...), nil
	case TypeBool:
		if b[0] == 0xC3 {
			return append(dst, "True"...), nil
		}
		return append(dst, "False"...), nil
	case TypeInt, ExtBigInt:
		return appendIntRepr(dst, b, x.t)
	case TypeFloat:
		return appendFloatRepr(dst, float(b)), nil
	case TypeStr:
		return appendStrRepr(dst, x.body), nil
	case TypeBytes:
		return appendBytesRepr(dst, x.body), nil
	case ExtComplex:
		re, im := complexParts(b)
		return appendComplexRepr(dst, re, im), nil
	case ExtDateTime, ExtDate, ExtTime, ExtTimeDelta:
		return appendTimeRepr(dst, x), nil
	case ExtUUID:
		return append(appendUUID(append(dst, "UUID('"...), x.body), "')"...), nil
	case ExtDecimal:
		return append(append(append(dst, "Decimal('"...), x.body...), "')"...), nil
	}
	return appendContainerRepr(dst, b, x)
}

func appendContainerRepr(dst, b []byte, x item) ([]byte, error) {
	switch x.t {
	case TypeList:
		return appendSequence(dst, "[", x, "]")
	case ExtTuple:
		return appendTupleRepr(dst, x)
	case TypeDict:
		return appendDictRepr(dst, x)
	case ExtSet:
		return appendSetRepr(dst, x, "set()", "{", "}")
	case ExtFrozenSet:
		return appendSetRepr(dst, x, "frozenset()", "frozenset({", "})")
	case ExtByteArray:
		return append(appendBytesRepr(append(dst, "bytearray("...), x.body), ')'), nil
	case ExtOrderedDict:
		return appendOrderedDictRepr(dst, x)
	case ExtCounter:
		return appendCounterRepr(dst, x)
	case ExtDefaultDict:
		return appendDefaultDictRepr(dst, b, x)
	case ExtDeque:
		return appendDequeRepr(dst, b, x)
	case ExtFraction, ExtSlice:
		return appendSequence(dst, typeNames[x.t]+"(", x, ")")
	case ExtRange:
		return appendRangeRepr(dst, x)
	case ExtSingleton:
		return append(dst, singletons[x.body[0]]...), nil
	case ExtException:
		return appendExceptionRepr(dst, x)
	case ExtObject:
		return append(append(append(dst, '<'), content(x.body)...), " object>"...), nil
	}
	return fmt.Appendf(dst, "<extension %d: %d bytes>", x.t, len(x.body)), nil
}

// appendSequence appends the elements with commas between them.
func appendSequence(dst []byte, before string, x item, after string) (_ []byte, err error) {
	dst = append(dst, before...)
	body := x.body
	for i := range x.n {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if dst, err = appendRepr(dst, body); err != nil {
			return dst, err
		}
		body = body[Size(body):]
	}
	return append(dst, after...), nil
}

func appendTupleRepr(dst []byte, x item) ([]byte, error) {
	if x.n == 1 {
		return appendSequence(dst, "(", x, ",)")
	}
	return appendSequence(dst, "(", x, ")")
}

func appendSetRepr(dst []byte, x item, empty, before, after string) ([]byte, error) {
	if x.n == 0 {
		return append(dst, empty...), nil
	}
	return appendSequence(dst, before, x, after)
}

// appendPairsRepr appends the items: each key and value with middle between them, and before and
// after around them.
func appendPairsRepr(dst []byte, items []pair, before, middle, after string) (_ []byte, err error) {
	for i, p := range items {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if dst, err = appendRepr(append(dst, before...), p.key); err != nil {
			return dst, err
		}
		if dst, err = appendRepr(append(dst, middle...), p.value); err != nil {
			return dst, err
		}
		dst = append(dst, after...)
	}
	return dst, nil
}

// pair is one item of a dict, as views.
type pair struct{ key, value []byte }

func pairsOf(x item) []pair {
	pairs := make([]pair, x.n)
	body := x.body
	for i := range pairs {
		pairs[i].key, body = next(body)
		pairs[i].value, body = next(body)
	}
	return pairs
}

func appendDictRepr(dst []byte, x item) ([]byte, error) {
	dst, err := appendPairsRepr(append(dst, '{'), pairsOf(x), "", ": ", "")
	return append(dst, '}'), err
}

func appendOrderedDictRepr(dst []byte, x item) ([]byte, error) {
	if x.n == 0 {
		return append(dst, "OrderedDict()"...), nil
	}
	dst, err := appendPairsRepr(append(dst, "OrderedDict(["...), pairsOf(x), "(", ", ", ")")
	return append(dst, "])"...), err
}

// appendCounterRepr puts the largest counts first if they can be ordered.
func appendCounterRepr(dst []byte, x item) ([]byte, error) {
	if x.n == 0 {
		return append(dst, "Counter()"...), nil
	}
	pairs := pairsOf(x)
	var unordered error
	slices.SortStableFunc(pairs, func(a, b pair) int {
		for _, order := range []struct {
			x, y   []byte
			result int
		}{{b.value, a.value, -1}, {a.value, b.value, 1}} {
			less, err := Less(order.x, order.y)
			if err != nil {
				unordered = err
			}
			if less {
				return order.result
			}
		}
		return 0
	})
	if e, ok := unordered.(*Error); ok { //nolint:errorlint // Less returns it unwrapped
		if e.Kind != TypeError {
			return dst, e
		}
		pairs = pairsOf(x)
	}
	dst, err := appendPairsRepr(append(dst, "Counter({"...), pairs, "", ": ", "")
	return append(dst, "})"...), err
}

func appendDefaultDictRepr(dst, b []byte, x item) ([]byte, error) {
	dst = append(dst, "defaultdict("...)
	if factory := factoryOf(b); factory == "" {
		dst = append(dst, "None"...)
	} else {
		dst = append(append(append(dst, "<class '"...), factory...), "'>"...)
	}
	dst, err := appendDictRepr(append(dst, ", "...), x)
	return append(dst, ')'), err
}

// factoryOf is the name of a defaultdict's factory, empty if there is none.
func factoryOf(b []byte) string {
	_, start, _ := header(content(b))
	factory := content(b)[start:]
	if t, _, _ := header(factory); t == TypeNil {
		return ""
	}
	return string(content(factory))
}

func appendDequeRepr(dst, b []byte, x item) ([]byte, error) {
	dst, err := appendSequence(dst, "deque([", x, "]")
	_, start, _ := header(content(b))
	if maxLen := content(b)[start:]; maxLen[0] != 0xC0 {
		n, _ := integer(maxLen)
		dst = strconv.AppendInt(append(dst, ", maxlen="...), n, 10)
	}
	return append(dst, ')'), err
}

func appendRangeRepr(dst []byte, x item) ([]byte, error) {
	_, rest := next(x.body)
	_, last := next(rest)
	if len(last) > 0 && last[0] == 1 { // the usual step is not shown
		x.n = 2
	}
	return appendSequence(dst, "range(", x, ")")
}

func appendUUID(dst, p []byte) []byte {
	for i, end := range []int{4, 6, 8, 10, 16} {
		start := []int{0, 4, 6, 8, 10}[i]
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, p[start:end])
	}
	return dst
}
