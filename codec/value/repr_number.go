package value

import (
	"math"
	"math/big"
	"strconv"
)

// maxIntDigits is how many digits of an int Python shows (sys.get_int_max_str_digits).
const maxIntDigits = 4300

func appendIntRepr(dst, b []byte, t Type) ([]byte, error) {
	if t == ExtBigInt {
		return appendBigIntRepr(dst, bigInt(b))
	}
	v, isBig := integer(b)
	if isBig {
		return strconv.AppendUint(dst, uint64(v), 10), nil
	}
	return strconv.AppendInt(dst, v, 10), nil
}

func appendBigIntRepr(dst []byte, x *big.Int) ([]byte, error) {
	const enoughBits = 14300 // 10^4300 has 14285
	if x.BitLen() < enoughBits {
		at := len(dst)
		dst = x.Append(dst, 10)
		if digits := len(dst) - at; digits <= maxIntDigits || x.Sign() < 0 && digits == maxIntDigits+1 {
			return dst, nil
		}
	}
	return dst, valueErrorf(
		"Exceeds the limit (4300 digits) for integer string conversion; use sys.set_int_max_str_digits() to " +
			"increase the limit",
	)
}

// appendFloatRepr appends the shortest digits that give f again, with an exponent below 1e-4 and
// from 1e16 on.
func appendFloatRepr(dst []byte, f float64) []byte {
	at := len(dst)
	dst = appendFloatDigits(dst, f)
	for _, c := range dst[at:] {
		if c != '-' && (c < '0' || c > '9') {
			return dst
		}
	}
	return append(dst, '.', '0')
}

// appendFloatDigits is appendFloatRepr without ".0" after whole numbers.
func appendFloatDigits(dst []byte, f float64) []byte {
	switch abs := math.Abs(f); {
	case f != f:
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case abs != 0 && abs < 1e-4 || abs >= 1e16:
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

func appendComplexRepr(dst []byte, re, im float64) []byte {
	if re == 0 && !math.Signbit(re) {
		return append(appendFloatDigits(dst, im), 'j')
	}
	dst = appendFloatDigits(append(dst, '('), re)
	if !math.Signbit(im) || im != im {
		dst = append(dst, '+')
	}
	return append(appendFloatDigits(dst, im), 'j', ')')
}

func appendFractionStr(dst []byte, x item) ([]byte, error) {
	num, den := next(x.body)
	dst, err := appendBigIntRepr(dst, bigInt(num))
	if err != nil || len(den) > 0 && den[0] == 1 {
		return dst, err
	}
	return appendBigIntRepr(append(dst, '/'), bigInt(den))
}
