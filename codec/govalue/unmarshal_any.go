package govalue

import (
	"fmt"

	"cyberdb-fast/codec/value"

	"github.com/tinylib/msgp/msgp"
)

// Decode returns the value at the front of b in its natural Go type, and the number of bytes that
// it took.
//
// Those types are nil, bool, int64 (uint64 above it, *big.Int beyond both), float64, string,
// []byte, []any, *big.Rat (Fraction), complex128 and the types of this package. Nothing of b is
// kept. That keys are hashable and different is taken on trust: Check says so. Errors: *PathError
// holding ErrTruncated, ErrMalformed, ErrNotUTF8, ErrTooDeep, ErrTooLarge or ErrOutOfRange; n is 0
// then.
func Decode(b []byte) (v any, n int, err error) {
	v, rest, err := decodeAny(b, level{})
	if err != nil {
		return nil, 0, withOp("decode", err)
	}
	return v, len(b) - len(rest), nil
}

// decodeAny reads the value at the front of b.
func decodeAny(b []byte, lv level) (v any, rest []byte, err error) {
	switch value.LeadType(b) {
	case value.TypeNil:
		return nil, b[1:], nil
	case value.TypeBool:
		return b[0] == leadTrue, b[1:], nil
	case value.TypeInt:
		return readNaturalInt(b)
	case value.TypeFloat:
		f, rest, err := readFloat(b)
		return f, rest, err
	case value.TypeStr:
		s, rest, err := readText(b)
		return s, rest, err
	case value.TypeBytes:
		data, rest, err := readBin(b)
		return data, rest, err
	case value.TypeList:
		return decodeList(b, lv)
	case value.TypeDict:
		pairs, rest, err := decodeMap(b, lv)
		return Dict(pairs), rest, err
	case value.TypeExt:
		code, payload, rest, err := value.ReadExt(b)
		if err != nil {
			return nil, b, err
		}
		v, err := decodeExt(code, payload, lv)
		return v, rest, err
	}
	return nil, b, badForm(b)
}

func readFloat(b []byte) (float64, []byte, error) {
	f, rest, err := msgp.ReadFloat64Bytes(b)
	if err != nil {
		return 0, b, fromMsgp(err)
	}
	return f, rest, nil
}

// readArrayHeader reads the header of an array; n is never more than the bytes that follow.
func readArrayHeader(b []byte) (n int, rest []byte, err error) {
	size, rest, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return 0, b, fromMsgp(err)
	}
	return countOf(size, 1, rest)
}

// readMapHeader reads the header of a map; twice n is never more than the bytes that follow.
func readMapHeader(b []byte) (n int, rest []byte, err error) {
	size, rest, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return 0, b, fromMsgp(err)
	}
	return countOf(size, 2, rest)
}

func countOf(size uint32, perItem int, rest []byte) (int, []byte, error) {
	switch {
	case size > value.MaxElements:
		return 0, rest, value.ErrTooLarge
	case int(size)*perItem > len(rest):
		return 0, rest, value.ErrTruncated
	}
	return int(size), rest, nil
}

// firstItems is how many items get room before any was read. A header that claims more cannot make
// us allocate more.
const firstItems = 256

func decodeList(b []byte, lv level) ([]any, []byte, error) {
	n, rest, err := readArrayHeader(b)
	if err != nil {
		return nil, b, err
	}
	if lv, err = lv.enter(n); err != nil {
		return nil, b, err
	}
	return decodeItems(n, rest, lv)
}

// decodeItems reads n values; lv is that of the container.
func decodeItems(n int, b []byte, lv level) (items []any, rest []byte, err error) {
	items = make([]any, 0, min(n, firstItems))
	for i := range n {
		var item any
		if item, b, err = decodeAny(b, lv); err != nil {
			return nil, b, atIndex(i, err)
		}
		items = append(items, item)
	}
	return items, b, nil
}

func decodeMap(b []byte, lv level) ([]Pair, []byte, error) {
	n, rest, err := readMapHeader(b)
	if err != nil {
		return nil, b, err
	}
	if lv, err = lv.enter(n); err != nil {
		return nil, b, err
	}
	pairs := make([]Pair, 0, min(n, firstItems))
	for range n {
		var p Pair
		if p.Key, rest, err = decodeAny(rest, lv); err != nil {
			return nil, b, atStep("[key]", err)
		}
		if p.Value, rest, err = decodeAny(rest, lv); err != nil {
			return nil, b, atKey(p.Key, err)
		}
		pairs = append(pairs, p)
	}
	return pairs, rest, nil
}

// wholly refuses bytes after the one value that a payload is.
func wholly(rest []byte, err error) error {
	if err == nil && len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes after the value", ErrMalformed, len(rest))
	}
	return err
}
