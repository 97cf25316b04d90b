package value

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
)

// integer reads the int within 64 bits (or the bool) at the front of b. If isBig is set, it is
// above MaxInt64 and v has its bits.
func integer(b []byte) (v int64, isBig bool) {
	switch c := b[0]; c {
	case 0xC2:
		return 0, false
	case 0xC3:
		return 1, false
	case 0xCC:
		return int64(b[1]), false
	case 0xCD:
		return int64(binary.BigEndian.Uint16(b[1:])), false
	case 0xCE:
		return int64(binary.BigEndian.Uint32(b[1:])), false
	case leadUint64:
		v = int64(binary.BigEndian.Uint64(b[1:]))
		return v, v < 0
	case 0xD0:
		return int64(int8(b[1])), false
	case 0xD1:
		return int64(int16(binary.BigEndian.Uint16(b[1:]))), false
	case 0xD2:
		return int64(int32(binary.BigEndian.Uint32(b[1:]))), false
	case 0xD3:
		return int64(binary.BigEndian.Uint64(b[1:])), false
	default:
		return int64(int8(c)), false
	}
}

// float reads the float at the front of b.
func float(b []byte) float64 {
	if b[0] == 0xCA {
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b[1:])))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b[1:]))
}

// isIntegral reports whether t is an int of any size or a bool.
func isIntegral(t Type) bool { return t == TypeInt || t == TypeBool || t == ExtBigInt }

// sign is the sign of the int of any size at the front of b.
func sign(b []byte) int {
	if t, start, _ := header(b); t == ExtBigInt {
		if b[start] >= 0x80 {
			return -1
		}
		return 1
	}
	v, isBig := integer(b)
	if isBig {
		return 1
	}
	return compareInts(v, 0)
}

// BigIntSign tells the sign of the checked value at the front of b if that is an int beyond 64 bits
// (an extension object).
func BigIntSign(b []byte) (negative, ok bool) {
	t, start, _ := header(b)
	if t != ExtBigInt {
		return false, false
	}
	return b[start] >= 0x80, true
}

// bigInt reads the int of any size (or the bool) at the front of b.
func bigInt(b []byte) *big.Int {
	t, start, n := header(b)
	if t == ExtBigInt {
		return fromTwosComplement(b[start : start+n])
	}
	v, isBig := integer(b)
	if isBig {
		return new(big.Int).SetUint64(uint64(v))
	}
	return big.NewInt(v)
}

func fromTwosComplement(p []byte) *big.Int {
	x := new(big.Int).SetBytes(p)
	if p[0] >= 0x80 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(p))))
	}
	return x
}

// compareNumbers compares two real numbers exactly. ordered is false if one of them is a nan.
func compareNumbers(a, b []byte) (c int, ordered bool) {
	ta, sa, na := header(a)
	tb, sb, nb := header(b)
	switch {
	case isIntegral(ta) && isIntegral(tb):
		return compareIntegrals(a, b, ta, tb), true
	case ta == TypeFloat && tb == TypeFloat:
		return compareFloats(float(a), float(b))
	case ta == TypeFloat && (tb == TypeInt || tb == TypeBool):
		c, ordered = compareIntFloat(b, float(a))
		return -c, ordered
	case tb == TypeFloat && (ta == TypeInt || ta == TypeBool):
		return compareIntFloat(a, float(b))
	case ta == ExtDecimal && tb == ExtDecimal:
		x, _ := parseDecimal(a[sa : sa+na])
		y, _ := parseDecimal(b[sb : sb+nb])
		if x.special == 0 && y.special == 0 {
			return compareDecimals(&x, &y), true
		}
	}
	if c, sure := compareMagnitudes(a, b); sure {
		return c, true
	}
	x, y := scaledOf(a), scaledOf(b)
	return x.compare(&y)
}

func compareFloats(x, y float64) (c int, ordered bool) {
	switch {
	case x < y:
		return -1, true
	case x > y:
		return 1, true
	}
	return 0, x == y
}

func compareIntegrals(a, b []byte, ta, tb Type) int {
	if ta != ExtBigInt && tb != ExtBigInt {
		x, xBig := integer(a)
		y, yBig := integer(b)
		switch {
		case xBig && yBig: // as negative numbers they keep their order
			return compareInts(x, y)
		case xBig:
			return 1
		case yBig:
			return -1
		}
		return compareInts(x, y)
	}
	sa, sb := sign(a), sign(b)
	switch {
	case sa != sb:
		return compareInts(int64(sa), int64(sb))
	case tb != ExtBigInt: // a is further from zero than b
		return sa
	case ta != ExtBigInt:
		return -sa
	}
	x, y := content(a), content(b)
	if len(x) != len(y) {
		return sa * compareInts(int64(len(x)), int64(len(y)))
	}
	return bytes.Compare(x, y)
}

// compareIntFloat compares the int within 64 bits at the front of b with f, without rounding.
func compareIntFloat(b []byte, f float64) (c int, ordered bool) {
	v, isBig := integer(b)
	const two63, two64 = 1 << 63, 1 << 64
	switch {
	case f != f:
		return 0, false
	case isBig && f >= two64 || !isBig && f >= two63:
		return -1, true
	case isBig && f < two63 || !isBig && f < -two63:
		return 1, true
	case isBig: // both are whole numbers in [2^63, 2^64)
		return compareInts(v, int64(uint64(f))), true
	}
	whole := int64(f) // towards zero
	if v != whole {
		return compareInts(v, whole), true
	}
	return compareFloats(0, f-float64(whole))
}

func compareDecimals(x, y *decimal) int {
	sx, sy := x.sign(), y.sign()
	if sx != sy || sx == 0 {
		return compareInts(int64(sx), int64(sy))
	}
	return sx * x.compareMagnitude(y)
}
