package value

import (
	"math"
	"math/big"
)

// scaled is any real number: num / den * 10^exp, den positive; special is an infinity or a nan, if
// that is not 0.
type scaled struct {
	num, den *big.Int
	exp      int64
	special  float64
}

var bigOne = big.NewInt(1) // never written

// scaledOf reads the real number at the front of b.
func scaledOf(b []byte) scaled {
	switch x := open(b); x.t {
	case TypeFloat:
		return scaledOfFloat(float(b))
	case ExtDecimal:
		d, _ := parseDecimal(x.body)
		return scaledOfDecimal(&d)
	case ExtFraction:
		num, rest := next(x.body)
		return scaled{num: bigInt(num), den: bigInt(rest)}
	}
	return scaled{num: bigInt(b), den: bigOne}
}

func scaledOfFloat(f float64) scaled {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return scaled{special: f}
	}
	mantissa, exp := math.Frexp(f) // f = mantissa * 2^exp
	num, shift := big.NewInt(int64(mantissa*(1<<53))), exp-53
	if shift >= 0 {
		return scaled{num: num.Lsh(num, uint(shift)), den: bigOne}
	}
	return scaled{num: num, den: new(big.Int).Lsh(bigOne, uint(-shift))}
}

func scaledOfDecimal(d *decimal) scaled {
	if d.special != 0 {
		return scaled{special: d.float64OfSpecial()}
	}
	return scaled{num: d.coefficient(), den: bigOne, exp: d.exp}
}

// coefficient is the number that the digits make, with the sign.
func (d *decimal) coefficient() *big.Int {
	var room [64]byte
	x := new(big.Int)
	if digits := d.digits(room[:0]); len(digits) > 0 {
		x.SetString(string(digits), 10)
	}
	if d.neg {
		x.Neg(x)
	}
	return x
}

func (x *scaled) sign() int {
	if x.special != 0 {
		return int(math.Copysign(1, x.special))
	}
	return x.num.Sign()
}

// compare compares exactly; ordered is false if one is a nan. Powers of ten are worked out only if
// the two are of like size, so an exponent of 10^18 costs nothing.
func (x *scaled) compare(y *scaled) (c int, ordered bool) {
	if x.special != 0 || y.special != 0 {
		return compareFloats(x.special, y.special)
	}
	sx, sy := x.sign(), y.sign()
	if sx != sy || sx == 0 {
		return compareInts(int64(sx), int64(sy)), true
	}
	if mx, my := x.magnitude(), y.magnitude(); mx < my-2 || mx > my+2 {
		return sx * compareInts(mx, my), true
	}
	left, right := new(big.Int).Mul(x.num, y.den), new(big.Int).Mul(y.num, x.den)
	if e := x.exp - y.exp; e > 0 {
		left.Mul(left, powerOf(10, e))
	} else {
		right.Mul(right, powerOf(10, -e))
	}
	return left.Cmp(right), true
}

// magnitude is the decimal logarithm, give or take one.
func (x *scaled) magnitude() int64 {
	const log10of2 = 0.30102999566398120
	return x.exp + int64(math.Floor(float64(x.num.BitLen()-x.den.BitLen())*log10of2))
}

func powerOf(base, exponent int64) *big.Int {
	return new(big.Int).Exp(big.NewInt(base), big.NewInt(exponent), nil)
}
