package govalue

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"

	"cyberdb-fast/codec/value"
)

// decodeExt reads the payload of an extension object.
func decodeExt(code int8, payload []byte, lv level) (any, error) {
	switch code {
	case value.ExtBigInt:
		return decodeBigInt(payload)
	case value.ExtTuple:
		items, err := payloadList(payload, lv)
		return Tuple(items), err
	case value.ExtSet:
		items, err := payloadList(payload, lv)
		return Set(items), err
	case value.ExtFrozenSet:
		items, err := payloadList(payload, lv)
		return FrozenSet(items), err
	case value.ExtByteArray:
		return append(ByteArray{}, payload...), nil
	case value.ExtOrderedDict:
		pairs, err := payloadMap(payload, lv)
		return OrderedDict(pairs), err
	case value.ExtCounter:
		pairs, err := payloadMap(payload, lv)
		return Counter(pairs), err
	case value.ExtDefaultDict:
		return decodeDefaultDict(payload, lv)
	case value.ExtDeque:
		return decodeDeque(payload, lv)
	case value.ExtDateTime:
		return decodeDateTime(payload)
	case value.ExtTime:
		return decodeTimeOfDay(payload)
	case value.ExtDate:
		return decodeDate(payload)
	case value.ExtTimeDelta:
		return decodeTimeDelta(payload)
	case value.ExtDecimal:
		d := Decimal(payload)
		return d, malformed(d.check())
	case value.ExtFraction:
		return decodeFraction(payload, lv)
	case value.ExtUUID:
		if len(payload) != len(UUID{}) {
			return nil, wrongSize("UUID", payload)
		}
		return UUID(payload), nil
	case value.ExtComplex:
		return decodeComplex(payload)
	case value.ExtRange:
		return decodeRange(payload, lv)
	case value.ExtSlice:
		return decodeSlice(payload, lv)
	case value.ExtSingleton:
		return decodeSingleton(payload)
	case value.ExtException:
		return decodeException(payload, lv)
	case value.ExtObject:
		return decodeObject(payload, lv)
	}
	if code >= value.ExtAppFirst {
		return Ext{Code: code, Data: append([]byte{}, payload...)}, nil
	}
	return nil, fmt.Errorf("%w: extension code %d", ErrMalformed, code)
}

func wrongSize(what string, payload []byte) error {
	return fmt.Errorf("%w: %s of %d bytes", ErrMalformed, what, len(payload))
}

// malformed marks a payload that breaks the rules of its type.
func malformed(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

func payloadList(payload []byte, lv level) ([]any, error) {
	items, rest, err := decodeList(payload, lv)
	return items, wholly(rest, err)
}

func payloadMap(payload []byte, lv level) ([]Pair, error) {
	pairs, rest, err := decodeMap(payload, lv)
	return pairs, wholly(rest, err)
}

// payloadArray opens the array that a payload is; want is the number of its items, -1 for one or
// more.
func payloadArray(payload []byte, want int, lv level) (n int, rest []byte, _ level, err error) {
	if n, rest, err = readArrayHeader(payload); err != nil {
		return 0, nil, lv, err
	}
	if want < 0 && n == 0 || want >= 0 && n != want {
		return 0, nil, lv, fmt.Errorf("%w: extension holding an array of %d", ErrMalformed, n)
	}
	lv, err = lv.enter(n)
	return n, rest, lv, err
}

func decodeDefaultDict(payload []byte, lv level) (any, error) {
	_, rest, lv, err := payloadArray(payload, 2, lv)
	if err != nil {
		return nil, err
	}
	var d DefaultDict
	if value.LeadType(rest) == value.TypeNil {
		rest = rest[1:]
	} else if d.Factory, rest, err = readText(rest); err != nil {
		return nil, atStep(".Factory", err)
	}
	pairs, rest, err := decodeMap(rest, lv)
	d.Items = pairs
	return d, wholly(rest, err)
}

func decodeDeque(payload []byte, lv level) (any, error) {
	n, d, rest, err := openDeque(payload)
	if err != nil {
		return nil, err
	}
	if lv, err = lv.enter(n); err != nil {
		return nil, err
	}
	d.Items, rest, err = decodeItems(n, rest, lv)
	return d, wholly(rest, err)
}

// openDeque reads up to the n items.
func openDeque(payload []byte) (n int, d Deque, rest []byte, err error) {
	n, rest, _, err = payloadArray(payload, -1, level{})
	if err != nil {
		return 0, d, nil, err
	}
	if d.Bounded, d.MaxLen, rest, err = readMaxLen(rest); err != nil {
		return 0, d, nil, atStep(".MaxLen", err)
	}
	if n--; d.Bounded && n > d.MaxLen {
		return 0, d, nil, fmt.Errorf("%w: %d items in a deque of maxlen %d", ErrMalformed, n, d.MaxLen)
	}
	return n, d, rest, nil
}

func readMaxLen(b []byte) (bounded bool, maxLen int, rest []byte, err error) {
	if value.LeadType(b) == value.TypeNil {
		return false, 0, b[1:], nil
	}
	v, rest, err := readNaturalInt(b)
	if err != nil {
		return false, 0, b, err
	}
	n, ok := v.(int64)
	if !ok || n < 0 || n > math.MaxInt {
		return false, 0, b, fmt.Errorf("%w: maxlen %v", ErrMalformed, v)
	}
	return true, int(n), rest, nil
}

func decodeFraction(payload []byte, lv level) (any, error) {
	_, rest, _, err := payloadArray(payload, 2, lv)
	if err != nil {
		return nil, err
	}
	num, rest, err := readNaturalInt(rest)
	if err != nil {
		return nil, err
	}
	denom, rest, err := readNaturalInt(rest)
	if err = wholly(rest, err); err != nil {
		return nil, err
	}
	n, d := toBig(num), toBig(denom)
	if d.Sign() <= 0 {
		return nil, fmt.Errorf("%w: Fraction whose denominator is not positive", ErrMalformed)
	}
	return new(big.Rat).SetFrac(n, d), nil
}

// toBig returns an int that readNaturalInt gave.
func toBig(v any) *big.Int {
	switch x := v.(type) {
	case int64:
		return big.NewInt(x)
	case uint64:
		return new(big.Int).SetUint64(x)
	case *big.Int:
		return x
	}
	return new(big.Int)
}

func decodeComplex(payload []byte) (any, error) {
	if len(payload) != 16 {
		return nil, wrongSize("complex", payload)
	}
	return complex(
		math.Float64frombits(binary.BigEndian.Uint64(payload)),
		math.Float64frombits(binary.BigEndian.Uint64(payload[8:])),
	), nil
}

func decodeRange(payload []byte, lv level) (any, error) {
	_, rest, _, err := payloadArray(payload, 3, lv)
	if err != nil {
		return nil, err
	}
	var parts [3]any
	for i := range parts {
		if parts[i], rest, err = readNaturalInt(rest); err != nil {
			return nil, atIndex(i, err)
		}
	}
	if parts[2] == int64(0) {
		return nil, fmt.Errorf("%w: range with step 0", ErrMalformed)
	}
	return Range{parts[0], parts[1], parts[2]}, wholly(rest, nil)
}

func decodeSlice(payload []byte, lv level) (any, error) {
	_, rest, lv, err := payloadArray(payload, 3, lv)
	if err != nil {
		return nil, err
	}
	parts, rest, err := decodeItems(3, rest, lv)
	if err = wholly(rest, err); err != nil {
		return nil, err
	}
	return Slice{parts[0], parts[1], parts[2]}, nil
}

func decodeSingleton(payload []byte) (any, error) {
	if len(payload) != 1 || payload[0] > byte(NotImplemented) {
		return nil, fmt.Errorf("%w: unknown singleton", ErrMalformed)
	}
	return Singleton(payload[0]), nil
}

func decodeException(payload []byte, lv level) (any, error) {
	n, rest, lv, err := payloadArray(payload, -1, lv)
	if err != nil {
		return nil, err
	}
	var e Exception
	if e.Class, rest, err = readText(rest); err != nil {
		return nil, atStep(".Class", err)
	}
	e.Args, rest, err = decodeItems(n-1, rest, lv)
	return e, wholly(rest, err)
}

func decodeObject(payload []byte, lv level) (any, error) {
	_, rest, _, err := payloadArray(payload, 2, lv)
	if err != nil {
		return nil, err
	}
	var o Object
	if o.Class, rest, err = readText(rest); err != nil {
		return nil, atStep(".Class", err)
	}
	o.Data, rest, err = readBin(rest)
	return o, wholly(rest, err)
}
