package value

import (
	"math/big"
)

// Add appends a + by, the sum of two checked numbers, to dst.
//
// As in Python, bool counts as int, ints have any size, a Decimal goes with ints only and rounds to 28 digits, a Fraction goes with ints and floats.
// Errors: *Error TypeError "unsupported operand type(s) for +: 'str' and 'int'" for anything but numbers; OverflowError for an int
// of more than 8192 bytes or one too large for a float; ValueError for signaling nans and the difference of infinite Decimals. dst is returned as it was.
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
		num := new(big.Int).Mul(x.num, y.den)
		num.Add(num, new(big.Int).Mul(y.num, x.den))
		return appendFractionValue(dst, num, new(big.Int).Mul(x.den, y.den))
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
		return appendComplex(dst, complex(re+re2, im+im2)), nil
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

func towerOf(t typ) tower {
	switch t {
	case typBool, typInt, ExtBigInt:
		return towerInt
	case ExtDecimal:
		return towerDecimal
	case ExtFraction:
		return towerFraction
	case typFloat:
		return towerFloat
	case ExtComplex:
		return towerComplex
	}
	return towerNone
}

// goTogether says whether two types of numbers can be added.
func goTogether(a, b typ) bool {
	return a == b || a != ExtDecimal && b != ExtDecimal || isIntegral(a) || isIntegral(b)
}

func appendIntSum(dst, a, b []byte) ([]byte, error) {
	if ta, tb := leads[a[0]].t, leads[b[0]].t; ta != typExt && tb != typExt {
		x, xBig := integer(a)
		y, yBig := integer(b)
		if sum := x + y; !xBig && !yBig && (sum > x) == (y > 0) {
			return appendInt(dst, sum), nil
		}
	}
	x := bigInt(a)
	return AppendBigInt(dst, x.Add(x, bigInt(b)))
}

// appendFractionValue appends num / den in lowest terms.
func appendFractionValue(dst []byte, num, den *big.Int) ([]byte, error) {
	x := new(big.Rat).SetFrac(num, den)
	for _, part := range []*big.Int{x.Num(), x.Denom()} {
		if part.BitLen() >= 8*maxNumberBytes {
			return dst, &Error{Kind: OverflowError, Msg: "Fraction of ints of more than 8192 bytes", limit: ErrTooLarge}
		}
	}
	return appendFractionExt(dst, x.Num(), x.Denom()), nil
}

// toComplex converts a number below complex, or one, to floats. Errors: OverflowError for what no float comes near.
func toComplex(b []byte, t typ) (re, im float64, err error) {
	switch t {
	case ExtComplex:
		re, im = complexParts(b)
		return re, im, nil
	case typFloat:
		return float(b), 0, nil
	case ExtFraction:
		x := scaledOf(b)
		if re, _ = new(big.Rat).SetFrac(x.num, x.den).Float64(); re-re != 0 {
			return 0, 0, &Error{Kind: OverflowError, Msg: "integer division result too large for a float"}
		}
		return re, 0, nil
	}
	if re, _ = bigInt(b).Float64(); re-re != 0 {
		return 0, 0, &Error{Kind: OverflowError, Msg: "int too large to convert to float"}
	}
	return re, 0, nil
}
