package govalue

import (
	"fmt"
	"math/big"
	"reflect"
	"unicode/utf8"

	"cyberdb-fast/codec/value"

	"github.com/tinylib/msgp/msgp"
)

// Marshaler is implemented by types that encode themselves. AppendCyberDB appends exactly one value
// to dst; a nil pointer is encoded as None without asking it.
type Marshaler interface {
	AppendCyberDB(dst []byte) ([]byte, error)
}

// Append appends the encoding of v to dst. Integers take their shortest form.
//
// Besides the types of this package it takes, by reflection: every bool, int, uint, float, complex
// and string kind, named or not; pointers and interfaces (nil is None); structs (a dict of their
// exported fields in order, named by the tag `cyberdb:"name,omitempty"`, "-" leaves a field out,
// embedded structs are flattened as encoding/json does); maps (a dict whose items are ordered by
// the encoding of their keys, so that equal maps give equal bytes); slices and arrays (a list;
// []byte and [N]byte are bytes); time.Time (an aware datetime, see DateTimeOf); time.Duration (a
// timedelta, cut to microseconds); big.Int, big.Rat; Marshaler. A nil slice or map is None as in
// encoding/json, but a nil Tuple, Set, FrozenSet, ByteArray, Dict, OrderedDict or Counter is empty.
//
// Whether keys are hashable and different is for Check, thus the server, to say. Errors: *PathError
// holding ErrNotUTF8, ErrTooDeep, ErrTooLarge, ErrOutOfRange or ErrUnsupported; dst is returned as
// it was.
func Append(dst []byte, v any) ([]byte, error) {
	out, err := appendAny(dst, v, level{})
	return finish(dst, out, err)
}

// Marshal returns the encoding of v, as Append makes it.
func Marshal(v any) ([]byte, error) { return Append(nil, v) }

// AppendOf is Append for a known type: the common scalars are not boxed.
func AppendOf[T any](dst []byte, v T) ([]byte, error) {
	switch p := any(&v).(type) {
	case *string:
		out, err := appendText(dst, *p)
		return finish(dst, out, err)
	case *[]byte:
		return finish(dst, appendBin(dst, *p), nil)
	case *int:
		return value.AppendInt(dst, int64(*p)), nil
	case *int64:
		return value.AppendInt(dst, *p), nil
	case *uint64:
		return msgp.AppendUint64(dst, *p), nil
	case *float64:
		return msgp.AppendFloat64(dst, *p), nil
	case *bool:
		return msgp.AppendBool(dst, *p), nil
	}
	return Append(dst, v)
}

func finish(dst, out []byte, err error) ([]byte, error) {
	if err == nil && len(out)-len(dst) > value.MaxValueBytes {
		err = fmt.Errorf("%w: %d bytes", value.ErrTooLarge, len(out)-len(dst))
	}
	if err != nil {
		return dst, withOp("encode", err)
	}
	return out, nil
}

// appendAny appends v; the types that need no reflection are found here, all others by their plan.
func appendAny(dst []byte, v any, lv level) ([]byte, error) {
	switch x := v.(type) {
	case nil:
		return msgp.AppendNil(dst), nil
	case string:
		return appendText(dst, x)
	case []byte:
		return appendBin(dst, x), nil
	case int:
		return value.AppendInt(dst, int64(x)), nil
	case int64:
		return value.AppendInt(dst, x), nil
	case uint64:
		return msgp.AppendUint64(dst, x), nil
	case float64:
		return msgp.AppendFloat64(dst, x), nil
	case bool:
		return msgp.AppendBool(dst, x), nil
	case []any:
		if x == nil {
			return msgp.AppendNil(dst), nil
		}
		return appendList(dst, x, lv)
	case Dict:
		return appendPairs(dst, x, lv)
	case *big.Int:
		return appendBigInt(dst, x)
	case *big.Rat:
		return appendFraction(dst, x, lv)
	case complex128:
		return value.AppendComplex(dst, x), nil
	}
	if out, ok, err := appendNatural(dst, v, lv); ok {
		return out, err
	}
	return encoderOf(reflect.TypeOf(v)).encode(dst, reflect.ValueOf(v), lv)
}

func appendBin(dst, b []byte) []byte {
	if b == nil {
		return msgp.AppendNil(dst)
	}
	return msgp.AppendBytes(dst, b)
}

func appendText(dst []byte, s string) ([]byte, error) {
	if !validText(s) {
		return dst, ErrNotUTF8
	}
	return msgp.AppendString(dst, s), nil
}

// validText reports whether s is UTF-8 in which lone surrogates may stand as three bytes.
func validText(s string) bool {
	for !utf8.ValidString(s) {
		bad := 0
		for bad < len(s) {
			r, n := utf8.DecodeRuneInString(s[bad:])
			if r == utf8.RuneError && n <= 1 {
				break
			}
			bad += n
		}
		s = s[bad:]
		if len(s) < 3 || s[0] != 0xED || s[1]&0xE0 != 0xA0 || s[2]&0xC0 != 0x80 {
			return false
		}
		s = s[3:]
	}
	return true
}

func appendList(dst []byte, items []any, lv level) ([]byte, error) {
	lv, err := lv.enter(len(items))
	if err != nil {
		return dst, err
	}
	return appendItems(msgp.AppendArrayHeader(dst, uint32(len(items))), items, lv)
}

func appendItems(dst []byte, items []any, lv level) (_ []byte, err error) {
	for i, item := range items {
		if dst, err = appendAny(dst, item, lv); err != nil {
			return dst, atIndex(i, err)
		}
	}
	return dst, nil
}

func appendPairs(dst []byte, pairs []Pair, lv level) ([]byte, error) {
	lv, err := lv.enter(len(pairs))
	if err != nil {
		return dst, err
	}
	dst = msgp.AppendMapHeader(dst, uint32(len(pairs)))
	for _, p := range pairs {
		if dst, err = appendAny(dst, p.Key, lv); err != nil {
			return dst, atKey(p.Key, err)
		}
		if dst, err = appendAny(dst, p.Value, lv); err != nil {
			return dst, atKey(p.Key, err)
		}
	}
	return dst, nil
}
