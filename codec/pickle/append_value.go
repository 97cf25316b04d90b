package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// AppendValue appends the opcodes of the checked value at the front of val. Nothing is put into the
// memo.
//
// Errors: govalue.ErrUnsupported, wrapped, for what Python's pickles have no place for: application
// types, unopened objects whose bytes are no pickle, exceptions that are not Python's own.
func AppendValue(dst, val []byte) ([]byte, error) {
	dst, _, err := appendValue(dst, val)
	return dst, err
}

func appendValue(dst, b []byte) (out, rest []byte, err error) {
	switch msgp.NextType(b) {
	case msgp.NilType:
		return append(dst, opNone), b[1:], nil
	case msgp.BoolType:
		yes, rest, err := msgp.ReadBoolBytes(b)
		if yes {
			return append(dst, opNewTrue), rest, err
		}
		return append(dst, opNewFalse), rest, err
	case msgp.IntType, msgp.UintType:
		return appendNumber(dst, b)
	case msgp.Float64Type, msgp.Float32Type:
		f, rest, err := msgp.ReadFloat64Bytes(b)
		return binary.BigEndian.AppendUint64(append(dst, opBinFloat), math.Float64bits(f)), rest, err
	case msgp.StrType:
		text, rest, err := msgp.ReadStringZC(b)
		return AppendText(dst, text), rest, err
	case msgp.BinType:
		text, rest, err := msgp.ReadBytesZC(b)
		return AppendBytes(dst, text), rest, err
	case msgp.ArrayType:
		n, rest, err := msgp.ReadArrayHeaderBytes(b)
		if err != nil {
			return dst, b, err
		}
		if dst, rest, err = appendMany(AppendList(dst), rest, int(n)); err != nil {
			return dst, b, err
		}
		return EndList(dst), rest, nil
	case msgp.MapType:
		n, rest, err := msgp.ReadMapHeaderBytes(b)
		if err != nil {
			return dst, b, err
		}
		if dst, rest, err = appendMany(AppendDict(dst), rest, 2*int(n)); err != nil {
			return dst, b, err
		}
		return EndDict(dst), rest, nil
	}
	n := value.Size(b)
	dst, err = appendExtension(dst, b[:n])
	return dst, b[n:], err
}

func appendMany(dst, b []byte, n int) (out, rest []byte, err error) {
	for range n {
		if dst, b, err = appendValue(dst, b); err != nil {
			return dst, b, err
		}
	}
	return dst, b, nil
}

func appendNumber(dst, b []byte) (out, rest []byte, err error) {
	if n, rest, err := msgp.ReadInt64Bytes(b); err == nil {
		return AppendInt(dst, n), rest, nil
	}
	n, rest, err := msgp.ReadUint64Bytes(b)
	return appendBig(dst, new(big.Int).SetUint64(n)), rest, err
}

// appendBig appends an int of any size in little-endian two's complement.
func appendBig(dst []byte, x *big.Int) []byte {
	if x.IsInt64() {
		return AppendInt(dst, x.Int64())
	}
	n := x.BitLen()/8 + 1
	digits := new(big.Int).Set(x)
	if x.Sign() < 0 {
		digits.Add(digits, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	b := digits.FillBytes(make([]byte, n))
	slices.Reverse(b)
	if n < 1<<8 {
		return append(append(dst, opLong1, byte(n)), b...)
	}
	return append(binary.LittleEndian.AppendUint32(append(dst, opLong4), uint32(n)), b...)
}

// payload returns the code and the payload of an extension object that is all of b.
func payload(b []byte) (code int8, p []byte) {
	at := map[byte]int{0xc7: 2, 0xc8: 3, 0xc9: 5}[b[0]]
	if at == 0 {
		at = 1
	}
	return int8(b[at]), b[at+1:]
}

// appendExtension appends the opcodes of an extension object.
func appendExtension(dst, b []byte) ([]byte, error) {
	code, p := payload(b)
	switch code {
	case value.ExtTuple:
		return appendTuple(dst, p)
	case value.ExtSet:
		return appendMembers(append(dst, opEmptySet, opMark), p, opAddItems)
	case value.ExtFrozenSet:
		return appendMembers(append(dst, opMark), p, opFrozenSet)
	case value.ExtByteArray:
		dst = AppendBytes(appendGlobal(dst, "builtins", "bytearray"), p)
		return append(dst, opTuple1, opReduce), nil
	case value.ExtOrderedDict:
		return appendItems(append(appendGlobal(dst, "collections", "OrderedDict"), opEmptyTuple, opReduce), p)
	case value.ExtCounter:
		dst, _, err := appendValue(appendGlobal(dst, "collections", "Counter"), p)
		return append(dst, opTuple1, opReduce), err
	case value.ExtDefaultDict:
		return appendDefaultDict(dst, p)
	case value.ExtDeque:
		return appendDeque(dst, p)
	case value.ExtSlice, value.ExtRange:
		name := map[int8]string{value.ExtSlice: "slice", value.ExtRange: "range"}[code]
		dst, _, err := appendMany(appendGlobal(dst, "builtins", name), p[1:], 3) // an array of three
		return append(dst, opTuple3, opReduce), err
	case value.ExtException:
		return appendRaised(dst, p)
	}
	return appendDecoded(dst, b)
}

// appendMembers appends the elements of an array and what makes an object of them.
func appendMembers(dst, p []byte, end byte) ([]byte, error) {
	n, rest, err := msgp.ReadArrayHeaderBytes(p)
	if err != nil {
		return dst, err
	}
	dst, _, err = appendMany(dst, rest, int(n))
	return append(dst, end), err
}

func appendTuple(dst, p []byte) ([]byte, error) {
	n, rest, err := msgp.ReadArrayHeaderBytes(p)
	switch {
	case err != nil:
		return dst, err
	case n == 0:
		return append(dst, opEmptyTuple), nil
	case n > 3:
		return appendMembers(append(dst, opMark), p, opTuple)
	}
	dst, _, err = appendMany(dst, rest, int(n))
	return append(dst, opTuple1+byte(n-1)), err
}

// appendItems fills the dict on top with the items of a map.
func appendItems(dst, p []byte) ([]byte, error) {
	n, rest, err := msgp.ReadMapHeaderBytes(p)
	if err != nil {
		return dst, err
	}
	dst, _, err = appendMany(append(dst, opMark), rest, 2*int(n))
	return append(dst, opSetItems), err
}

func appendDefaultDict(dst, p []byte) ([]byte, error) {
	dst = appendGlobal(dst, "collections", "defaultdict")
	_, rest, err := msgp.ReadArrayHeaderBytes(p) // factory and map
	if err != nil {
		return dst, err
	}
	if msgp.IsNil(rest) {
		return appendItems(append(dst, opNone, opTuple1, opReduce), rest[1:])
	}
	factory, rest, err := msgp.ReadStringBytes(rest)
	if err != nil {
		return dst, err
	}
	if !factories[factory] {
		return dst, fmt.Errorf("%w: a defaultdict of %s", govalue.ErrUnsupported, factory)
	}
	return appendItems(append(appendGlobal(dst, "builtins", factory), opTuple1, opReduce), rest)
}

func appendDeque(dst, p []byte) ([]byte, error) {
	n, rest, err := msgp.ReadArrayHeaderBytes(p) // maxlen, then the items
	if err != nil {
		return dst, err
	}
	dst = append(appendGlobal(dst, "collections", "deque"), opEmptyTuple)
	if dst, rest, err = appendValue(dst, rest); err != nil {
		return dst, err
	}
	dst, _, err = appendMany(append(dst, opTuple2, opReduce, opMark), rest, int(n)-1)
	return append(dst, opAppends), err
}

func appendRaised(dst, p []byte) ([]byte, error) {
	n, rest, err := msgp.ReadArrayHeaderBytes(p) // class, then the arguments
	if err != nil {
		return dst, err
	}
	class, rest, err := msgp.ReadStringBytes(rest)
	if err != nil {
		return dst, err
	}
	if !exceptions[class] {
		return dst, fmt.Errorf("%w: an exception of the class %s", govalue.ErrUnsupported, class)
	}
	dst, _, err = appendMany(append(appendGlobal(dst, "builtins", class), opMark), rest, int(n)-1)
	return append(dst, opTuple, opReduce), err
}

// appendDecoded appends the opcodes of an object of a type that holds no others.
func appendDecoded(dst, b []byte) ([]byte, error) {
	v, _, err := govalue.Decode(b)
	if err != nil {
		return dst, err
	}
	switch v := v.(type) {
	case *big.Int:
		return appendBig(dst, v), nil
	case govalue.DateTime:
		return appendDateTime(dst, v), nil
	case govalue.Date:
		dst = AppendBytes(appendGlobal(dst, "datetime", "date"), appendDay(nil, v))
		return append(dst, opTuple1, opReduce), nil
	case govalue.Time:
		clock := appendClock(nil, v.SinceMidnight)
		if v.Fold {
			clock[0] |= foldBit
		}
		return appendReading(appendGlobal(dst, "datetime", "time"), clock, v.Zone), nil
	case govalue.TimeDelta:
		return appendTimeDelta(dst, v), nil
	case govalue.Decimal:
		dst = AppendText(appendGlobal(dst, "decimal", "Decimal"), string(v))
		return append(dst, opTuple1, opReduce), nil
	case *big.Rat:
		dst = appendBig(appendBig(appendGlobal(dst, "fractions", "Fraction"), v.Num()), v.Denom())
		return append(dst, opTuple2, opReduce), nil
	case govalue.UUID:
		dst = append(appendGlobal(dst, "uuid", "UUID"), opEmptyTuple, opNewObj, opEmptyDict)
		dst = appendBig(AppendText(dst, "int"), new(big.Int).SetBytes(v[:]))
		return append(dst, opSetItem, opBuild), nil
	case complex128:
		dst = appendGlobal(dst, "builtins", "complex")
		for _, part := range []float64{real(v), imag(v)} {
			dst = binary.BigEndian.AppendUint64(append(dst, opBinFloat), math.Float64bits(part))
		}
		return append(dst, opTuple2, opReduce), nil
	case govalue.Object:
		return appendOpaque(dst, v)
	case govalue.Singleton:
		return appendGlobal(dst, "builtins", v.String()), nil
	}
	return dst, noPlace(value.TypeName(b))
}

// noPlace is the error for what Python's pickles have no place for.
func noPlace(what string) error { return fmt.Errorf("%w: %s", govalue.ErrUnsupported, what) }
