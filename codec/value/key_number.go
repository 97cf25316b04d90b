package value

import (
	"encoding/binary"
	"math"
	"math/big"
)

// maxKeyNumber bounds the bytes of an int, and of each part of a Fraction, in a key. The canonical form of longer ones could take milliseconds each;
// and since they are not among the keys, a Decimal out of their reach can be a key at the cost of its text, however large its exponent.
const maxKeyNumber = 1024

func tooLongForKey(name string, n int) *Error {
	err := valueErrorf("%s of %d bytes in a key, at most %d", name, n, maxKeyNumber)
	err.limit = ErrTooLarge
	return err
}

// appendNumberKey appends the canonical form of a number. It is, in this order, the first of these that is exact: an int in its shortest form, a
// float64, a Fraction in lowest terms, a Decimal without zeros at its end. The last serves only Decimals beyond the reach of the others.
func appendNumberKey(dst, b []byte, x item) (_ []byte, unequal bool, err error) {
	switch x.t {
	case typBool, typInt:
		v, isBig := integer(b)
		if isBig {
			return binary.BigEndian.AppendUint64(append(dst, leadUint64), uint64(v)), false, nil
		}
		return appendInt(dst, v), false, nil
	case ExtBigInt:
		if len(x.body) > maxKeyNumber {
			return dst, false, tooLongForKey("int", len(x.body))
		}
		return appendExtBytes(dst, ExtBigInt, x.body), false, nil
	case typFloat:
		dst, unequal = appendFloatKey(dst, float(b))
		return dst, unequal, nil
	case ExtComplex:
		re, im := complexParts(b)
		if im == 0 {
			dst, unequal = appendFloatKey(dst, re)
			return dst, unequal, nil
		}
		return appendComplex(dst, complex(re+0, im)), re != re || im != im, nil // -0.0 + 0 is 0.0
	case ExtFraction:
		num, den := next(x.body)
		if n := max(Size(num), Size(den)); n > maxKeyNumber {
			return dst, false, tooLongForKey("Fraction", n)
		}
		return appendRationalKey(dst, bigInt(num), bigInt(den)), false, nil
	}
	d, _ := parseDecimal(x.body)
	switch d.special {
	case 0:
		return appendDecimalKey(dst, &d), false, nil
	case 's':
		return dst, false, typeErrorf("Cannot hash a signaling NaN value")
	}
	dst, unequal = appendFloatKey(dst, d.float64OfSpecial())
	return dst, unequal, nil
}

func appendFloatKey(dst []byte, f float64) (_ []byte, unequal bool) {
	switch {
	case f >= -1<<63 && f < 1<<63 && f == math.Trunc(f):
		return appendInt(dst, int64(f)), false
	case f != f:
		return appendFloat(dst, math.NaN()), true
	case math.IsInf(f, 0) || f != math.Trunc(f):
		return appendFloat(dst, f), false
	}
	whole, _ := big.NewFloat(f).Int(nil)
	return appendAnyInt(dst, whole), false
}

// appendRationalKey appends num / den, den positive, in any terms.
func appendRationalKey(dst []byte, num, den *big.Int) []byte {
	gcd := new(big.Int).GCD(nil, nil, new(big.Int).Abs(num), den)
	if gcd.Cmp(bigOne) != 0 && gcd.Sign() != 0 {
		num, den = new(big.Int).Quo(num, gcd), new(big.Int).Quo(den, gcd)
	}
	return appendLowestKey(dst, num, den)
}

// appendLowestKey appends num / den, which are in lowest terms.
func appendLowestKey(dst []byte, num, den *big.Int) []byte {
	if den.Cmp(bigOne) == 0 {
		return appendAnyInt(dst, num)
	}
	if den.TrailingZeroBits() == uint(den.BitLen()-1) && num.BitLen() <= 53 && den.BitLen() <= 1075 { // den is a power of two
		f := math.Ldexp(float64(num.Int64()), 1-den.BitLen())
		return appendFloat(dst, f)
	}
	return appendFractionExt(dst, num, den)
}

// appendDecimalKey appends a finite Decimal.
func appendDecimalKey(dst []byte, d *decimal) []byte {
	var room [64]byte
	digits := d.digits(room[:0])
	exp := d.exp
	for len(digits) > 0 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
		exp++
	}
	if len(digits) == 0 {
		return append(dst, 0)
	}
	const reach = 8*maxKeyNumber*30103/100000 + 1 // decimal digits of the largest int
	if size := int64(len(digits)); exp+size > reach || -exp-size > reach || -exp > 8*maxKeyNumber {
		return appendDecimalExt(dst, d.neg, digits, exp)
	}
	num, _ := new(big.Int).SetString(string(digits), 10)
	if d.neg {
		num.Neg(num)
	}
	if exp >= 0 {
		if num.Mul(num, powerOf(10, exp)); len(twosComplement(num)) <= maxKeyNumber {
			return appendAnyInt(dst, num)
		}
		return appendDecimalExt(dst, d.neg, digits, exp)
	}
	num, den := reduceByTens(num, -exp)
	if len(twosComplement(num)) > maxKeyNumber || len(twosComplement(den)) > maxKeyNumber {
		return appendDecimalExt(dst, d.neg, digits, exp)
	}
	return appendLowestKey(dst, num, den)
}

// reduceByTens returns num / 10^e in lowest terms; 10 does not divide num, so that it shares with the power only twos or only fives.
func reduceByTens(num *big.Int, e int64) (_, den *big.Int) {
	twos, fives := e, e
	if shared := min(e, int64(num.TrailingZeroBits())); shared > 0 {
		num = new(big.Int).Rsh(num, uint(shared))
		twos -= shared
	} else {
		num, fives = divideOutFives(num, e)
	}
	den = powerOf(5, fives)
	return num, den.Lsh(den, uint(twos))
}

// divideOutFives divides x by the largest power of five, at most 5^limit, that divides it; left is the rest of limit.
func divideOutFives(x *big.Int, limit int64) (_ *big.Int, left int64) {
	type power struct {
		exponent int64
		value    *big.Int
	}
	powers := []power{{1, big.NewInt(5)}}
	for last := powers[0]; 2*last.exponent <= limit && last.value.BitLen() < x.BitLen(); last = powers[len(powers)-1] {
		powers = append(powers, power{2 * last.exponent, new(big.Int).Mul(last.value, last.value)})
	}
	quotient, rest := new(big.Int), new(big.Int)
	for i := len(powers) - 1; i >= 0; {
		p := powers[i]
		if p.exponent <= limit {
			if quotient.QuoRem(x, p.value, rest); rest.Sign() == 0 {
				x, limit, quotient = quotient, limit-p.exponent, new(big.Int)
				continue
			}
		}
		i--
	}
	return x, limit
}
