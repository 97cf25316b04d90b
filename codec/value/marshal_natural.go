package value

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// maxNumberBytes bounds an int beyond 64 bits and the text of a Decimal.
const maxNumberBytes = 8192

// appendNatural appends v if its type is one of those that stand for a Python type, or a time; ok says whether it is.
func appendNatural(dst []byte, v any, lv level) (_ []byte, ok bool, err error) {
	switch x := v.(type) {
	case Tuple:
		dst, err = appendExtList(dst, ExtTuple, x, lv)
	case Set:
		dst, err = appendExtList(dst, ExtSet, x, lv)
	case FrozenSet:
		dst, err = appendExtList(dst, ExtFrozenSet, x, lv)
	case ByteArray:
		dst = appendExtBytes(dst, ExtByteArray, x)
	case OrderedDict:
		dst, err = appendExtPairs(dst, ExtOrderedDict, x, lv)
	case Counter:
		dst, err = appendExtPairs(dst, ExtCounter, x, lv)
	case DefaultDict:
		dst, err = appendDefaultDict(dst, x, lv)
	case Deque:
		dst, err = appendDeque(dst, x, lv)
	case DateTime:
		dst, err = appendDateTime(dst, x)
	case time.Time:
		dst, err = appendGoTime(dst, x)
	case Date:
		dst, err = appendDate(dst, x)
	case Time:
		dst, err = appendTimeOfDay(dst, x)
	case TimeDelta:
		dst, err = appendTimeDelta(dst, x)
	case time.Duration:
		dst, err = appendTimeDelta(dst, TimeDeltaOf(x))
	case Decimal:
		dst, err = appendDecimal(dst, x)
	case UUID:
		dst = append(extHeader(dst, ExtUUID, len(x)), x[:]...)
	case Range:
		dst, err = appendRange(dst, x, lv)
	case Slice:
		dst, err = appendExtList(dst, ExtSlice, []any{x.Start, x.Stop, x.Step}, lv)
	case Singleton:
		dst, err = appendSingleton(dst, x)
	case Exception:
		dst, err = appendException(dst, x, lv)
	case Object:
		dst, err = appendObject(dst, x, lv)
	case Ext:
		dst, err = appendApplication(dst, x)
	default:
		return dst, false, nil
	}
	return dst, true, err
}

// extHeader appends the shortest header of an extension object with n payload bytes.
func extHeader(dst []byte, code int8, n int) []byte {
	switch {
	case n == 1 || n == 2 || n == 4 || n == 8 || n == 16:
		return append(dst, leadFixExt1+byte(bits.TrailingZeros(uint(n))), byte(code))
	case n <= math.MaxUint8:
		return append(dst, leadExt8, byte(n), byte(code))
	case n <= math.MaxUint16:
		return append(dst, leadExt16, byte(n>>8), byte(n), byte(code))
	}
	return append(binary.BigEndian.AppendUint32(append(dst, leadExt32), uint32(n)), byte(code))
}

func appendExtBytes(dst []byte, code int8, payload []byte) []byte {
	return append(extHeader(dst, code, len(payload)), payload...)
}

// wrapExt makes dst[start:] the payload of an extension object.
func wrapExt(dst []byte, start int, code int8) []byte {
	var room [6]byte
	header := extHeader(room[:0], code, len(dst)-start)
	end := len(dst)
	dst = append(dst, header...)
	copy(dst[start+len(header):], dst[start:end])
	copy(dst[start:], header)
	return dst
}

func appendExtList(dst []byte, code int8, items []any, lv level) ([]byte, error) {
	start := len(dst)
	dst, err := appendList(dst, items, lv)
	if err != nil {
		return dst, err
	}
	return wrapExt(dst, start, code), nil
}

func appendExtPairs(dst []byte, code int8, pairs []Pair, lv level) ([]byte, error) {
	start := len(dst)
	dst, err := appendPairs(dst, pairs, lv)
	if err != nil {
		return dst, err
	}
	return wrapExt(dst, start, code), nil
}

// appendHeaded appends an extension object that is an array of head and then items.
func appendHeaded(dst []byte, code int8, head any, items []any, lv level) ([]byte, error) {
	start := len(dst)
	lv, err := lv.enter(len(items) + 1)
	if err != nil {
		return dst, err
	}
	dst = msgp.AppendArrayHeader(dst, uint32(len(items)+1))
	if dst, err = appendAny(dst, head, lv); err != nil {
		return dst, err
	}
	if dst, err = appendItems(dst, items, lv); err != nil {
		return dst, err
	}
	return wrapExt(dst, start, code), nil
}

func appendDefaultDict(dst []byte, d DefaultDict, lv level) ([]byte, error) {
	var factory any
	if d.Factory != "" {
		factory = d.Factory
	}
	start := len(dst)
	dst, err := appendAny(msgp.AppendArrayHeader(dst, 2), factory, lv)
	if err != nil {
		return dst, atStep(".Factory", err)
	}
	if lv, err = lv.enter(2); err != nil {
		return dst, err
	}
	if dst, err = appendPairs(dst, d.Items, lv); err != nil {
		return dst, err
	}
	return wrapExt(dst, start, ExtDefaultDict), nil
}

func appendDeque(dst []byte, d Deque, lv level) ([]byte, error) {
	var maxLen any
	if d.Bounded {
		if len(d.Items) > d.MaxLen {
			return dst, fmt.Errorf("%w: %d items in a deque of maxlen %d", ErrOutOfRange, len(d.Items), d.MaxLen)
		}
		maxLen = d.MaxLen
	}
	return appendHeaded(dst, ExtDeque, maxLen, d.Items, lv)
}

func appendRange(dst []byte, r Range, lv level) ([]byte, error) {
	start := len(dst)
	lv, err := lv.enter(3)
	if err != nil {
		return dst, err
	}
	dst = msgp.AppendArrayHeader(dst, 3)
	for i, part := range [...]any{r.Start, r.Stop, r.Step} {
		at := len(dst)
		if dst, err = appendAny(dst, part, lv); err != nil {
			return dst, atIndex(i, err)
		}
		if !isInt(dst[at:]) {
			return dst, fmt.Errorf("%w: %s in a range", ErrWrongType, TypeName(dst[at:]))
		}
		if i == 2 && dst[at] == 0 {
			return dst, fmt.Errorf("%w: step 0 in a range", ErrOutOfRange)
		}
	}
	return wrapExt(dst, start, ExtRange), nil
}

func appendSingleton(dst []byte, s Singleton) ([]byte, error) {
	if s > NotImplemented {
		return dst, fmt.Errorf("%w: singleton %d", ErrOutOfRange, uint8(s))
	}
	return append(extHeader(dst, ExtSingleton, 1), byte(s)), nil
}

func appendException(dst []byte, e Exception, lv level) ([]byte, error) {
	return appendHeaded(dst, ExtException, e.Class, e.Args, lv)
}

func appendObject(dst []byte, o Object, lv level) ([]byte, error) {
	if _, err := lv.enter(2); err != nil {
		return dst, err
	}
	start := len(dst)
	dst, err := appendText(msgp.AppendArrayHeader(dst, 2), o.Class)
	if err != nil {
		return dst, atStep(".Class", err)
	}
	return wrapExt(msgp.AppendBytes(dst, o.Data), start, ExtObject), nil
}

func appendApplication(dst []byte, e Ext) ([]byte, error) {
	if e.Code < ExtAppFirst {
		return dst, fmt.Errorf("%w: extension code %d", ErrOutOfRange, e.Code)
	}
	return appendExtBytes(dst, e.Code, e.Data), nil
}

func appendBigInt(dst []byte, x *big.Int) ([]byte, error) {
	switch {
	case x == nil:
		return msgp.AppendNil(dst), nil
	case x.IsInt64():
		return appendInt(dst, x.Int64()), nil
	case x.IsUint64():
		return msgp.AppendUint64(dst, x.Uint64()), nil
	}
	payload := twosComplement(x)
	if len(payload) > maxNumberBytes {
		return dst, fmt.Errorf("%w: int of %d bytes", ErrTooLarge, len(payload))
	}
	return appendExtBytes(dst, ExtBigInt, payload), nil
}

// twosComplement is the shortest big-endian two's complement form of x.
func twosComplement(x *big.Int) []byte {
	magnitude := x
	if x.Sign() < 0 {
		magnitude = new(big.Int).Not(x) // -x-1: its bits inverted are x
	}
	payload := magnitude.FillBytes(make([]byte, magnitude.BitLen()/8+1))
	if x.Sign() < 0 {
		for i := range payload {
			payload[i] = ^payload[i]
		}
	}
	return payload
}

func appendFraction(dst []byte, x *big.Rat, lv level) ([]byte, error) {
	if x == nil {
		return msgp.AppendNil(dst), nil
	}
	if _, err := lv.enter(2); err != nil {
		return dst, err
	}
	start := len(dst)
	dst, err := appendBigInt(msgp.AppendArrayHeader(dst, 2), x.Num())
	if err != nil {
		return dst, err
	}
	if dst, err = appendBigInt(dst, x.Denom()); err != nil {
		return dst, err
	}
	return wrapExt(dst, start, ExtFraction), nil
}

func appendComplex(dst []byte, c complex128) []byte {
	dst = extHeader(dst, ExtComplex, 16)
	dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(real(c)))
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(imag(c)))
}
