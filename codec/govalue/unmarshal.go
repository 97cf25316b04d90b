package govalue

import (
	"fmt"
	"reflect"

	"cyberdb-fast/codec/value"
)

// Unmarshaler is implemented by types that decode themselves. UnmarshalCyberDB gets exactly one
// value and must copy what it keeps.
type Unmarshaler interface {
	UnmarshalCyberDB(b []byte) error
}

// Unmarshal decodes b, which is exactly one value, into what the pointer into points to. It is the
// inverse of Append; besides:
//
// An int goes into every int, uint and float kind that holds it exactly, a float into float kinds
// (float32 rounds). A list, tuple, set, frozenset or deque goes into slices and, if the length
// fits, arrays; bytes and bytearray into []byte and [N]byte, a UUID into [16]byte. A dict of any
// kind goes into maps, and into structs by its str keys: other keys are skipped, fields without a
// key keep what they had. An interface gets the natural type that Decode gives. None makes
// pointers, maps, slices and interfaces nil and is refused by all others. Maps that are there
// already are added to; slices are overwritten. Nothing of b is kept.
//
// Errors: *PathError as of Decode, and ErrWrongType, ErrOutOfRange or ErrUnsupported naming the
// value's type and the Go type. What was decoded before the error stays in place.
func Unmarshal(b []byte, into any) error {
	ok, err := unmarshalCommon(b, into)
	if !ok {
		err = unmarshalByPlan(b, into)
	}
	if err != nil {
		return withOp("decode", err)
	}
	return nil
}

// UnmarshalOf decodes b, which is exactly one value, as a T. The common scalars are not boxed.
func UnmarshalOf[T any](b []byte) (T, error) {
	var v T
	ok, err := unmarshalCommon(b, &v)
	if !ok {
		into := new(T)
		err := Unmarshal(b, into)
		return *into, err
	}
	if err != nil {
		return v, withOp("decode", err)
	}
	return v, nil
}

// unmarshalCommon serves the common targets without reflection; ok is false for all others. It does
// not let into escape.
func unmarshalCommon(b []byte, into any) (ok bool, err error) {
	switch p := into.(type) {
	case *string:
		return true, set(p, wholeText, b)
	case *int64:
		return true, set(p, wholeInt, b)
	case *int:
		return true, set(p, wholeGoInt, b)
	case *uint64:
		return true, set(p, wholeUint, b)
	case *float64:
		return true, set(p, wholeFloat, b)
	case *bool:
		return true, set(p, wholeBool, b)
	case *[]byte:
		return true, set(p, wholeBytes, b)
	case *any:
		return true, set(p, wholeAny, b)
	}
	return false, nil
}

// set reads b into p, if p points to anything.
func set[T any](p *T, read func([]byte) (T, error), b []byte) error {
	if p == nil {
		return noTarget(reflect.TypeFor[*T]())
	}
	v, err := read(b)
	if err == nil {
		*p = v
	}
	return err
}

func noTarget(t reflect.Type) error {
	return fmt.Errorf("%w: Unmarshal into %v, which is no pointer to anything", ErrUnsupported, t)
}

func unmarshalByPlan(b []byte, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return noTarget(reflect.TypeOf(into))
	}
	v = v.Elem()
	rest, err := decoderOf(v.Type()).decode(b, v, level{})
	return wholly(rest, err)
}

func wholeAny(b []byte) (any, error) {
	v, rest, err := decodeAny(b, level{})
	if err = wholly(rest, err); err != nil {
		return nil, err
	}
	return v, nil
}

func wholeText(b []byte) (string, error) {
	if value.LeadType(b) != value.TypeStr {
		return "", wrongType(b, reflect.TypeFor[string]())
	}
	s, rest, err := readText(b)
	return s, wholly(rest, err)
}

func wholeBytes(b []byte) ([]byte, error) {
	data, rest, err := decodeBytes(b, reflect.TypeFor[[]byte]())
	return data, wholly(rest, err)
}

func wholeBool(b []byte) (bool, error) {
	if value.LeadType(b) != value.TypeBool {
		return false, wrongType(b, reflect.TypeFor[bool]())
	}
	return b[0] == leadTrue, wholly(b[1:], nil)
}

func wholeInt(b []byte) (int64, error) {
	i, rest, err := decodeSigned(b, reflect.TypeFor[int64]())
	return i, wholly(rest, err)
}

func wholeGoInt(b []byte) (int, error) {
	i, rest, err := decodeSigned(b, reflect.TypeFor[int]())
	return int(i), wholly(rest, err)
}

func wholeUint(b []byte) (uint64, error) {
	u, rest, err := decodeUnsigned(b, reflect.TypeFor[uint64]())
	return u, wholly(rest, err)
}

func wholeFloat(b []byte) (float64, error) {
	f, rest, err := decodeFloat(b, reflect.TypeFor[float64]())
	return f, wholly(rest, err)
}
