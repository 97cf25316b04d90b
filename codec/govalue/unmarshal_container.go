package govalue

import (
	"fmt"
	"reflect"

	"cyberdb-fast/codec/value"
)

// decodeBytes reads bytes or a bytearray into a copy, None as nil.
func decodeBytes(b []byte, t reflect.Type) (data, rest []byte, err error) {
	switch value.LeadType(b) {
	case value.TypeNil:
		return nil, b[1:], nil
	case value.TypeBytes:
		return readBin(b)
	case value.TypeExt:
		code, payload, rest, err := value.ReadExt(b)
		if err != nil {
			return nil, b, err
		}
		if code == value.ExtByteArray {
			return append([]byte{}, payload...), rest, nil
		}
	}
	return nil, b, wrongType(b, t)
}

func isBytes(t reflect.Type) bool {
	return t.Elem().Kind() == reflect.Uint8 && !implements(t.Elem(), marshalerType) &&
		!implements(t.Elem(), unmarshalerType)
}

func decodeBytesInto(b []byte, v reflect.Value, _ level) ([]byte, error) {
	data, rest, err := decodeBytes(b, v.Type())
	if err == nil {
		v.SetBytes(data)
	}
	return rest, err
}

func decodeByteArrayInto(b []byte, v reflect.Value, _ level) ([]byte, error) {
	var data, rest []byte
	var err error
	code, payload, after, extErr := int8(0), []byte(nil), []byte(nil), error(nil)
	if value.LeadType(b) == value.TypeExt {
		code, payload, after, extErr = value.ReadExt(b)
	}
	switch {
	case extErr != nil:
		return b, extErr
	case value.LeadType(b) == value.TypeNil:
		return b, wrongType(b, v.Type())
	case code == value.ExtUUID && v.Len() == len(UUID{}):
		data, rest = payload, after
	default:
		data, rest, err = decodeBytes(b, v.Type())
	}
	if err != nil {
		return b, err
	}
	if len(data) != v.Len() {
		return b, outOfRange("bytes of length", len(data), v.Type())
	}
	copy(v.Bytes(), data)
	return rest, nil
}

// opened is a container whose header was read: n items begin at body.
type opened struct {
	n     int
	body  []byte
	after []byte // what follows the extension object, if the container is in one
	inExt bool
}

// closed returns what follows the container; rest is what follows its items.
func (o *opened) closed(rest []byte) ([]byte, error) {
	if !o.inExt {
		return rest, nil
	}
	return o.after, wholly(rest, nil)
}

// openSequence opens a list, tuple, set, frozenset or deque.
func openSequence(b []byte, t reflect.Type) (o opened, err error) {
	switch value.LeadType(b) {
	case value.TypeList:
		o.n, o.body, err = readArrayHeader(b)
		return o, err
	case value.TypeExt:
		code, payload, after, err := value.ReadExt(b)
		if err != nil {
			return o, err
		}
		o.after, o.inExt = after, true
		switch code {
		case value.ExtTuple, value.ExtSet, value.ExtFrozenSet:
			o.n, o.body, err = readArrayHeader(payload)
			return o, err
		case value.ExtDeque:
			o.n, _, o.body, err = openDeque(payload)
			return o, err
		}
	}
	return o, wrongType(b, t)
}

// openMapping opens a dict of any kind.
func openMapping(b []byte, t reflect.Type) (o opened, err error) {
	switch value.LeadType(b) {
	case value.TypeDict:
		o.n, o.body, err = readMapHeader(b)
		return o, err
	case value.TypeExt:
		code, payload, after, err := value.ReadExt(b)
		if err != nil {
			return o, err
		}
		o.after, o.inExt = after, true
		switch code {
		case value.ExtDefaultDict:
			if _, payload, _, err = payloadArray(payload, 2, level{}); err != nil {
				return o, err
			}
			if payload, err = skip(payload); err != nil {
				return o, err
			}
			fallthrough
		case value.ExtOrderedDict, value.ExtCounter:
			o.n, o.body, err = readMapHeader(payload)
			return o, err
		}
	}
	return o, wrongType(b, t)
}

func (b decoderBuild) slice(t reflect.Type) decodeFunc {
	if isBytes(t) {
		return decodeBytesInto
	}
	elem := b.of(t.Elem())
	first := firstRoom(t.Elem())
	return func(b []byte, v reflect.Value, lv level) ([]byte, error) {
		if value.LeadType(b) == value.TypeNil {
			v.SetZero()
			return b[1:], nil
		}
		o, err := openSequence(b, v.Type())
		if err != nil {
			return b, err
		}
		if lv, err = lv.enter(o.n); err != nil {
			return b, err
		}
		v.Set(reflect.MakeSlice(v.Type(), 0, min(o.n, first)))
		rest := o.body
		for i := range o.n {
			if i == v.Cap() {
				v.Grow(1)
			}
			v.SetLen(i + 1)
			if rest, err = elem.decode(rest, v.Index(i), lv); err != nil {
				return b, atIndex(i, err)
			}
		}
		return o.closed(rest)
	}
}

// firstRoom is how many items of type t get room before any was read.
func firstRoom(t reflect.Type) int {
	const maxBytes = 4096
	return max(1, min(firstItems, maxBytes/max(1, int(t.Size()))))
}

func (b decoderBuild) array(t reflect.Type) decodeFunc {
	if isBytes(t) {
		return decodeByteArrayInto
	}
	elem := b.of(t.Elem())
	return func(b []byte, v reflect.Value, lv level) ([]byte, error) {
		o, err := openSequence(b, v.Type())
		if err != nil {
			return b, err
		}
		if lv, err = lv.enter(o.n); err != nil {
			return b, err
		}
		if o.n != v.Len() {
			return b, outOfRange("sequence of length", o.n, v.Type())
		}
		rest := o.body
		for i := range o.n {
			if rest, err = elem.decode(rest, v.Index(i), lv); err != nil {
				return b, atIndex(i, err)
			}
		}
		return o.closed(rest)
	}
}

func (b decoderBuild) goMap(t reflect.Type) decodeFunc {
	key, elem := b.of(t.Key()), b.of(t.Elem())
	mayNotCompare := t.Key().Kind() == reflect.Interface || t.Key().Kind() == reflect.Struct ||
		t.Key().Kind() == reflect.Array
	return func(b []byte, v reflect.Value, lv level) ([]byte, error) {
		if value.LeadType(b) == value.TypeNil {
			v.SetZero()
			return b[1:], nil
		}
		o, err := openMapping(b, v.Type())
		if err != nil {
			return b, err
		}
		if lv, err = lv.enter(o.n); err != nil {
			return b, err
		}
		if v.IsNil() {
			v.Set(reflect.MakeMapWithSize(v.Type(), min(o.n, firstItems)))
		}
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		rest := o.body
		for range o.n {
			k.SetZero()
			e.SetZero()
			if rest, err = key.decode(rest, k, lv); err != nil {
				return b, atStep("[key]", err)
			}
			if mayNotCompare && !k.Comparable() {
				return b, atStep(
					"[key]",
					fmt.Errorf("%w: key that Go cannot compare into %v; use Dict", ErrWrongType, v.Type()),
				)
			}
			if rest, err = elem.decode(rest, e, lv); err != nil {
				return b, atKey(showable(k), err)
			}
			v.SetMapIndex(k, e)
		}
		return o.closed(rest)
	}
}
