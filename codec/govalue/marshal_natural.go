package govalue

import (
	"fmt"
	"math/big"
	"time"

	"cyberdb-fast/codec/value"

	"github.com/tinylib/msgp/msgp"
)

// appendNatural appends v if its type is one of those that stand for a Python type, or a time; ok
// reports whether it is.
func appendNatural(dst []byte, v any, lv level) (_ []byte, ok bool, err error) {
	switch x := v.(type) {
	case Tuple:
		dst, err = appendExtList(dst, value.ExtTuple, x, lv)
	case Set:
		dst, err = appendExtList(dst, value.ExtSet, x, lv)
	case FrozenSet:
		dst, err = appendExtList(dst, value.ExtFrozenSet, x, lv)
	case ByteArray:
		dst = value.AppendExt(dst, value.ExtByteArray, x)
	case OrderedDict:
		dst, err = appendExtPairs(dst, value.ExtOrderedDict, x, lv)
	case Counter:
		dst, err = appendExtPairs(dst, value.ExtCounter, x, lv)
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
		dst = append(value.AppendExtHeader(dst, value.ExtUUID, len(x)), x[:]...)
	case Range:
		dst, err = appendRange(dst, x, lv)
	case Slice:
		dst, err = appendExtList(dst, value.ExtSlice, []any{x.Start, x.Stop, x.Step}, lv)
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

func appendExtList(dst []byte, code int8, items []any, lv level) ([]byte, error) {
	start := len(dst)
	dst, err := appendList(dst, items, lv)
	if err != nil {
		return dst, err
	}
	return value.WrapExt(dst, start, code), nil
}

func appendExtPairs(dst []byte, code int8, pairs []Pair, lv level) ([]byte, error) {
	start := len(dst)
	dst, err := appendPairs(dst, pairs, lv)
	if err != nil {
		return dst, err
	}
	return value.WrapExt(dst, start, code), nil
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
	return value.WrapExt(dst, start, code), nil
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
	return value.WrapExt(dst, start, value.ExtDefaultDict), nil
}

func appendDeque(dst []byte, d Deque, lv level) ([]byte, error) {
	var maxLen any
	if d.Bounded {
		if len(d.Items) > d.MaxLen {
			return dst, fmt.Errorf("%w: %d items in a deque of maxlen %d", ErrOutOfRange, len(d.Items), d.MaxLen)
		}
		maxLen = d.MaxLen
	}
	return appendHeaded(dst, value.ExtDeque, maxLen, d.Items, lv)
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
			return dst, fmt.Errorf("%w: %s in a range", ErrWrongType, value.TypeName(dst[at:]))
		}
		if i == 2 && dst[at] == 0 {
			return dst, fmt.Errorf("%w: step 0 in a range", ErrOutOfRange)
		}
	}
	return value.WrapExt(dst, start, value.ExtRange), nil
}

func appendSingleton(dst []byte, s Singleton) ([]byte, error) {
	if s > NotImplemented {
		return dst, fmt.Errorf("%w: singleton %d", ErrOutOfRange, uint8(s))
	}
	return append(value.AppendExtHeader(dst, value.ExtSingleton, 1), byte(s)), nil
}

func appendException(dst []byte, e Exception, lv level) ([]byte, error) {
	return appendHeaded(dst, value.ExtException, e.Class, e.Args, lv)
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
	return value.WrapExt(msgp.AppendBytes(dst, o.Data), start, value.ExtObject), nil
}

func appendApplication(dst []byte, e Ext) ([]byte, error) {
	if e.Code < value.ExtAppFirst {
		return dst, fmt.Errorf("%w: extension code %d", ErrOutOfRange, e.Code)
	}
	return value.AppendExt(dst, e.Code, e.Data), nil
}

func appendBigInt(dst []byte, x *big.Int) ([]byte, error) {
	if x == nil {
		return msgp.AppendNil(dst), nil
	}
	out, err := value.AppendBigInt(dst, x)
	if err != nil {
		return dst, fmt.Errorf("%w: int of %d bits", value.ErrTooLarge, x.BitLen())
	}
	return out, nil
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
	return value.WrapExt(dst, start, value.ExtFraction), nil
}
