package value

import (
	"encoding/binary"
	"fmt"

	"github.com/tinylib/msgp/msgp"
)

// appendNegative appends -b.
func appendNegative(dst, b []byte) ([]byte, error) {
	x := open(b)
	switch x.t {
	case TypeBool, TypeInt, ExtBigInt:
		n := bigInt(b)
		return AppendBigInt(dst, n.Neg(n))
	case TypeFloat:
		return appendFloat(dst, -float(b)), nil
	case ExtComplex:
		re, im := complexParts(b)
		return AppendComplex(dst, complex(-re, -im)), nil
	case ExtDecimal:
		return appendNegativeDecimal(dst, b, x)
	case ExtFraction:
		num, den := next(x.body)
		n := bigInt(num)
		return appendFractionValue(dst, n.Neg(n), bigInt(den))
	case ExtTimeDelta:
		return appendNegativeTimeDelta(dst, x.body)
	case ExtCounter:
		return appendNegativeCounter(dst, x)
	}
	return dst, typeErrorf("bad operand type for unary -: '%s'", TypeName(b))
}

func appendNegativeDecimal(dst, b []byte, x item) ([]byte, error) {
	switch d, _ := parseDecimal(x.body); d.special {
	case 's':
		return dst, invalidOperation()
	case 'N':
		return append(dst, b[:Size(b)]...), nil
	case 'I':
		if d.neg {
			return AppendExt(dst, ExtDecimal, []byte("Infinity")), nil
		}
		return AppendExt(dst, ExtDecimal, []byte("-Infinity")), nil
	}
	d := finiteOf(b)
	d.neg = !d.neg && d.n.Sign() > 0 // no negative zero, as Python rounds half to even
	return appendRounded(dst, d)
}

func appendNegativeTimeDelta(dst, p []byte) ([]byte, error) {
	days, seconds, micros := timeDeltaOf(p)
	left, rest := floorDiv(-(int64(seconds)*microsPerSecond + int64(micros)), secondsPerDay*microsPerSecond)
	left -= int64(days)
	if left < -MaxDeltaDays || left > MaxDeltaDays {
		return dst, &Error{
			Kind: OverflowError,
			Msg:  fmt.Sprintf("days=%d; must have magnitude <= %d", left, MaxDeltaDays),
		}
	}
	dst = binary.BigEndian.AppendUint32(AppendExtHeader(dst, ExtTimeDelta, 12), uint32(left))
	dst = binary.BigEndian.AppendUint32(dst, uint32(rest/microsPerSecond))
	return binary.BigEndian.AppendUint32(dst, uint32(rest%microsPerSecond)), nil
}

// appendNegativeCounter keeps the negative counts, turned positive: 0 - count, which has another
// exponent than -count for some Decimals.
func appendNegativeCounter(dst []byte, x item) (_ []byte, err error) {
	var items []byte
	n := 0
	for _, p := range pairsOf(x) {
		negative, err := Less(p.value, []byte{0})
		if err != nil {
			return dst, err
		}
		if !negative {
			continue
		}
		n++
		count, err := appendNegative(nil, p.value)
		if err != nil {
			return dst, err
		}
		if items, err = appendSum(append(items, p.key...), []byte{0}, count); err != nil {
			return dst, err
		}
	}
	start := len(dst)
	dst = append(msgp.AppendMapHeader(dst, uint32(n)), items...)
	return WrapExt(dst, start, ExtCounter), nil
}

// floorDiv divides rounding down, so that the rest is never negative.
func floorDiv(a, b int64) (quotient, rest int64) {
	quotient, rest = a/b, a%b
	if rest < 0 {
		quotient, rest = quotient-1, rest+b
	}
	return quotient, rest
}
