package value

import (
	"math"
	"math/big"
)

// Add appends a + by, the sum of two checked numbers, to dst.
//
// As in Python, bool counts as int, ints have any size, a Decimal goes with ints only and rounds to
// 28 digits, a Fraction goes with ints and floats. Errors: *Error TypeError "unsupported operand
// type(s) for +: 'str' and 'int'" for anything but numbers; OverflowError for an int of more than
// 8192 bytes or one too large for a float; ValueError for signaling nans and the difference of
// infinite Decimals. dst is returned unchanged.
func Add(dst, a, by []byte) ([]byte, error) {
	out, err := appendSum(dst, a, by)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func appendSum(dst, a, b []byte) ([]byte, error) {
	ta, _, _ := header(a)
	tb, _, _ := header(b)
	switch kind := max(towerOf(ta), towerOf(tb)); {
	case kind == towerNone || min(towerOf(ta), towerOf(tb)) == towerNone || !goTogether(ta, tb):
		return dst, typeErrorf("unsupported operand type(s) for +: '%s' and '%s'", TypeName(a), TypeName(b))
	case kind == towerInt:
		return appendIntSum(dst, a, b)
	case kind == towerDecimal:
		return appendDecimalSum(dst, a, b)
	case kind == towerFraction:
		x, y := scaledOf(a), scaledOf(b)
		num, den := sumOf(x.num, x.den, y.num, y.den)
		return appendFractionValue(dst, num, den)
	}
	re, im, err := toComplex(a, ta)
	if err != nil {
		return dst, err
	}
	re2, im2, err := toComplex(b, tb)
	if err != nil {
		return dst, err
	}
	if ta == ExtComplex || tb == ExtComplex {
		return AppendComplex(dst, complex(re+re2, im+im2)), nil
	}
	return appendFloat(dst, re+re2), nil
}

// tower is a step in Python's tower of numbers: a sum is of the higher step of the two.
type tower uint8

const (
	towerNone tower = iota
	towerInt
	towerDecimal
	towerFraction
	towerFloat
	towerComplex
)

func towerOf(t Type) tower {
	switch t {
	case TypeBool, TypeInt, ExtBigInt:
		return towerInt
	case ExtDecimal:
		return towerDecimal
	case ExtFraction:
		return towerFraction
	case TypeFloat:
		return towerFloat
	case ExtComplex:
		return towerComplex
	}
	return towerNone
}

// goTogether reports whether two types of numbers can be added.
func goTogether(a, b Type) bool {
	return a == b || a != ExtDecimal && b != ExtDecimal || isIntegral(a) || isIntegral(b)
}

func appendIntSum(dst, a, b []byte) ([]byte, error) {
	if ta, tb := leads[a[0]].t, leads[b[0]].t; ta != TypeExt && tb != TypeExt {
		x, xBig := integer(a)
		y, yBig := integer(b)
		if sum := x + y; !xBig && !yBig && (sum > x) == (y > 0) {
			return AppendInt(dst, sum), nil
		}
	}
	x := bigInt(a)
	return AppendBigInt(dst, x.Add(x, bigInt(b)))
}

// sumOf returns a/b + c/d, in lowest terms if the two are. Only numbers of the smaller
// denominator's size have their divisors sought (Knuth, volume 2, 4.5.1).
func sumOf(a, b, c, d *big.Int) (num, den *big.Int) {
	gcd := new(big.Int).GCD(nil, nil, b, d)
	rest := new(big.Int).Quo(b, gcd)
	num = new(big.Int).Mul(a, new(big.Int).Quo(d, gcd))
	num.Add(num, new(big.Int).Mul(c, rest))
	shared := gcd.GCD(nil, nil, gcd, new(big.Int).Abs(new(big.Int).Rem(num, gcd)))
	return num.Quo(num, shared), rest.Mul(rest, new(big.Int).Quo(d, shared))
}

// appendFractionValue appends num / den, which are in lowest terms.
func appendFractionValue(dst []byte, num, den *big.Int) ([]byte, error) {
	for _, part := range []*big.Int{num, den} {
		if part.BitLen() >= 8*MaxNumberBytes {
			return dst, &Error{Kind: OverflowError, Msg: "Fraction of ints of more than 8192 bytes", limit: ErrTooLarge}
		}
	}
	return appendFractionExt(dst, num, den), nil
}

// quotient is the float64 nearest to num / den, den positive.
func quotient(num, den *big.Int) float64 {
	const digits = 66 // more than a float64 has, with room for one that says that there are more
	shift := digits - num.BitLen() + den.BitLen()
	whole, rest := new(big.Int).Lsh(num, uint(max(shift, 0))), new(big.Int)
	whole.Abs(whole).QuoRem(whole, new(big.Int).Lsh(den, uint(max(-shift, 0))), rest)
	if rest.Sign() != 0 {
		whole.SetBit(whole, 0, 1)
	}
	f, _ := new(big.Float).SetMantExp(new(big.Float).SetInt(whole), -shift).Float64()
	return math.Copysign(f, float64(num.Sign()))
}

// toComplex converts a number below complex, or one, to floats. Errors: OverflowError for what no
// float comes near.
func toComplex(b []byte, t Type) (re, im float64, err error) {
	switch t {
	case ExtComplex:
		re, im = complexParts(b)
		return re, im, nil
	case TypeFloat:
		return float(b), 0, nil
	case ExtFraction:
		x := scaledOf(b)
		if re = quotient(x.num, x.den); re-re != 0 {
			return 0, 0, &Error{Kind: OverflowError, Msg: "integer division result too large for a float"}
		}
		return re, 0, nil
	}
	if re, _ = bigInt(b).Float64(); re-re != 0 {
		return 0, 0, &Error{Kind: OverflowError, Msg: "int too large to convert to float"}
	}
	return re, 0, nil
}
