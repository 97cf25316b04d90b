package jsonvalue

import (
	"bytes"
	"encoding/base64"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bytedance/sonic/encoder"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// Keys of objects that do not stand for a dict.
const (
	keyBigInt      = "$int"
	keyFloat       = "$float"
	keyDecimal     = "$decimal"
	keyUUID        = "$uuid"
	keyBytes       = "$bytes"
	keyByteArray   = "$bytearray"
	keyTuple       = "$tuple"
	keySet         = "$set"
	keyFrozenSet   = "$frozenset"
	keyDict        = "$dict"
	keyOrderedDict = "$ordereddict"
	keyCounter     = "$counter"
	keyEncoded     = "$encoded"
	keyRepr        = "repr"
)

// Append appends the JSON form of the value whose complete encoding is b, in one line. Parse
// returns the same bytes again.
//
// Errors: *govalue.PathError for bytes that are not a value.
func Append(dst, b []byte) ([]byte, error) {
	v, n, err := govalue.Decode(b)
	if err != nil {
		return dst, err
	}
	if n == len(b) {
		if text, ok := appendPlain(dst, v); ok {
			if back, err := Parse(string(text[len(dst):])); err == nil && bytes.Equal(back, b) {
				return text, nil
			}
		}
	}
	return appendEncoded(dst, b), nil
}

// appendEncoded appends the form that exists for every value: its encoding, and its repr for human
// readers.
func appendEncoded(dst, b []byte) []byte {
	const maxRepr = 200
	dst = appendData(dst, keyEncoded, b)
	repr, err := value.Repr(b)
	if err != nil || len(repr) > maxRepr || !utf8.ValidString(repr) {
		return dst
	}
	dst = append(dst[:len(dst)-1], `,"`+keyRepr+`":`...)
	return append(append(dst, encoder.Quote(repr)...), '}')
}

// appendPlain appends the form of v; ok is false if it has none.
func appendPlain(dst []byte, v any) (text []byte, ok bool) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), true
	case bool:
		return strconv.AppendBool(dst, v), true
	case int64:
		return strconv.AppendInt(dst, v, 10), true
	case uint64:
		return strconv.AppendUint(dst, v, 10), true
	case *big.Int:
		return appendText(dst, keyBigInt, v.String())
	case float64:
		return appendFloat(dst, v)
	case string:
		if !utf8.ValidString(v) { // lone surrogates
			return appendPart(dst, v)
		}
		return append(dst, encoder.Quote(v)...), true
	case govalue.Decimal:
		return appendText(dst, keyDecimal, string(v))
	case govalue.UUID:
		return appendText(dst, keyUUID, v.String())
	case []byte:
		return appendData(dst, keyBytes, v), true
	case govalue.ByteArray:
		return appendData(dst, keyByteArray, v), true
	}
	return appendContainer(dst, v)
}

func appendContainer(dst []byte, v any) (text []byte, ok bool) {
	switch v := v.(type) {
	case []any:
		return appendItems(dst, v)
	case govalue.Tuple:
		return appendTagged(dst, keyTuple, v)
	case govalue.Set:
		return appendTagged(dst, keySet, v)
	case govalue.FrozenSet:
		return appendTagged(dst, keyFrozenSet, v)
	case govalue.Dict:
		return appendDict(dst, v)
	case govalue.OrderedDict:
		return appendPairs(dst, keyOrderedDict, v)
	case govalue.Counter:
		return appendPairs(dst, keyCounter, v)
	}
	return appendPart(dst, v)
}

// appendPart appends the encoding of a value that has no other form.
func appendPart(dst []byte, v any) ([]byte, bool) {
	b, err := govalue.Marshal(v)
	return appendEncoded(dst, b), err == nil
}

func appendText(dst []byte, key, s string) ([]byte, bool) {
	dst = append(dst, `{"`+key+`":`...)
	return append(append(dst, encoder.Quote(s)...), '}'), true
}

func appendData(dst []byte, key string, b []byte) []byte {
	dst = append(dst, `{"`+key+`":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, b), `"}`...)
}

// appendFloat appends a number with a point or an exponent, so that it is not read as an int.
func appendFloat(dst []byte, f float64) ([]byte, bool) {
	switch {
	case math.IsNaN(f):
		return appendText(dst, keyFloat, "nan")
	case math.IsInf(f, 0):
		return appendText(dst, keyFloat, strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+")))
	}
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	if !bytes.ContainsAny(dst[at:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst, true
}

func appendItems(dst []byte, items []any) (text []byte, ok bool) {
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, ok = appendPlain(dst, item); !ok {
			return dst, false
		}
	}
	return append(dst, ']'), true
}

func appendTagged(dst []byte, key string, items []any) (text []byte, ok bool) {
	dst, ok = appendItems(append(dst, `{"`+key+`":`...), items)
	return append(dst, '}'), ok
}

// appendDict appends an object, if all keys are strings and it cannot be mistaken for another form.
func appendDict(dst []byte, pairs []govalue.Pair) (text []byte, ok bool) {
	for _, p := range pairs {
		key, isText := p.Key.(string)
		if !isText || !utf8.ValidString(key) || strings.HasPrefix(key, "$") {
			return appendPairs(dst, keyDict, pairs)
		}
	}
	dst = append(dst, '{')
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, encoder.Quote(p.Key.(string))...), ':')
		if dst, ok = appendPlain(dst, p.Value); !ok {
			return dst, false
		}
	}
	return append(dst, '}'), true
}

func appendPairs(dst []byte, key string, pairs []govalue.Pair) (text []byte, ok bool) {
	items := make([]any, len(pairs))
	for i, p := range pairs {
		items[i] = []any{p.Key, p.Value}
	}
	return appendTagged(dst, key, items)
}
