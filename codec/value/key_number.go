package value

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
)

// maxKeyNumber bounds the bytes of an int, and of each part of a Fraction, in a key.
const maxKeyNumber = 1024

func tooLongForKey(name string, n int) *Error {
	err := valueErrorf("%s of %d bytes in a key, at most %d", name, n, maxKeyNumber)
	err.limit = ErrTooLarge
	return err
}

// appendNumberKey appends the number form of a number that may be in a key.
func appendNumberKey(dst, b []byte, x item) (_ []byte, unequal bool, err error) {
	switch x.t {
	case ExtBigInt:
		if len(x.body) > maxKeyNumber {
			return dst, false, tooLongForKey("int", len(x.body))
		}
	case ExtFraction:
		num, den := next(x.body)
		if n := max(len(num), Size(den)); n > maxKeyNumber {
			return dst, false, tooLongForKey("Fraction", n)
		}
	case ExtDecimal:
		if bytes.Contains(x.body, []byte("sNaN")) {
			return dst, false, typeErrorf("Cannot hash a signaling NaN value")
		}
	}
	dst, unequal = appendNumberForm(dst, b, x)
	return dst, unequal, nil
}

// The number form of a number is the same encoding for all numbers that are equal to it, whatever
// their types. It follows from the number alone, and is the first of these that has it exactly:
//
//  1. an int within 64 bits, in its shortest encoding
//  2. a float64
//  3. a complex, if the imaginary part is not zero
//  4. a whole number: an int, if it has at most maxKeyNumber bytes and ends in at most wholeZeros
//     decimal zeros
//  5. a fraction num / (2^twos * 5^fives) in lowest terms: a Fraction, if both parts have at most
//     maxKeyNumber bytes and twos is at least twice fives
//  6. a fraction with another denominator: a Fraction in lowest terms
//  7. a Decimal without zeros at its end
//
// So the form has at most three times as many bytes as the number, and about 16 more: a Decimal
// stays a Decimal when writing it out would make it long, and an int or Fraction becomes one only
// if that is not much longer. Most Decimals need no arithmetic.
//
// wholeZeros is the most decimal zeros of a whole float64 of 53 significant bits: 5^22 < 2^53 <
// 5^23. A Decimal with more is no float.
const wholeZeros = 22

// appendNumberForm appends the number form of the number at the front of b. unequal says that it is
// a nan.
func appendNumberForm(dst, b []byte, x item) (_ []byte, unequal bool) {
	switch x.t {
	case TypeBool, TypeInt:
		v, isBig := integer(b)
		if isBig {
			return binary.BigEndian.AppendUint64(append(dst, leadUint64), uint64(v)), false
		}
		return AppendInt(dst, v), false
	case ExtBigInt:
		return appendBigForm(dst, x.body), false
	case TypeFloat:
		return appendFloatForm(dst, float(b))
	case ExtComplex:
		re, im := complexParts(b)
		if im == 0 {
			return appendFloatForm(dst, re)
		}
		return AppendComplex(dst, complex(re+0, im)), re != re || im != im // -0.0 + 0 is 0.0
	case ExtFraction:
		num, den := next(x.body)
		return appendRationalForm(dst, bigInt(num), bigInt(den)), false
	}
	d, _ := parseDecimal(x.body)
	if d.special != 0 {
		return appendFloatForm(dst, d.float64OfSpecial())
	}
	return appendDecimalForm(dst, &d), false
}

func appendFloatForm(dst []byte, f float64) (_ []byte, unequal bool) {
	switch whole := f == math.Trunc(f); {
	case f != f:
		return appendFloat(dst, math.NaN()), true
	case whole && f >= -1<<63 && f < 1<<63:
		return AppendInt(dst, int64(f)), false
	case whole && f >= 1<<63 && f < 1<<64:
		return binary.BigEndian.AppendUint64(append(dst, leadUint64), uint64(f)), false
	}
	return appendFloat(dst, f), false
}

// appendBigForm appends the form of an int beyond 64 bits, given in two's complement. Most of them
// are their own form.
func appendBigForm(dst, p []byte) []byte {
	zeros := trailingZeroBits(p)
	if significant := 8*len(p) - zeros; zeros <= wholeZeros && significant > 64 && len(p) <= maxKeyNumber {
		return AppendExt(dst, ExtBigInt, p)
	}
	return appendWholeForm(dst, fromTwosComplement(p))
}

// trailingZeroBits counts the zero bits at the end of a big-endian number, which is not zero.
func trailingZeroBits(p []byte) int {
	last := len(p) - 1
	for p[last] == 0 {
		last--
	}
	return 8*(len(p)-1-last) + bits.TrailingZeros8(p[last])
}

var fiveTo23 = big.NewInt(11920928955078125) // never written

// appendWholeForm appends the form of a whole number.
func appendWholeForm(dst []byte, x *big.Int) []byte {
	zeros, size := int(x.TrailingZeroBits()), x.BitLen()
	switch {
	case size <= 64 && (x.IsInt64() || x.IsUint64()):
		return appendAnyInt(dst, x)
	case size-zeros <= 53 && size <= 1024:
		f, _ := x.Float64()
		return appendFloat(dst, f)
	case size < 8*maxKeyNumber && (zeros <= wholeZeros || new(big.Int).Rem(x, fiveTo23).Sign() != 0):
		return AppendExt(dst, ExtBigInt, twosComplement(x))
	}
	return appendScaledForm(dst, x, 0)
}

// appendScaledForm appends x times 10^exp, x not zero, as a Decimal without zeros at its end.
func appendScaledForm(dst []byte, x *big.Int, exp int64) []byte {
	digits := new(big.Int).Abs(x).Append(nil, 10)
	digits, exp = trimEnd(digits, exp)
	return appendDecimalExt(dst, x.Sign() < 0, digits, exp)
}

// trimEnd takes the zeros from the end of digits that are worth 10^exp each.
func trimEnd(digits []byte, exp int64) ([]byte, int64) {
	n := len(digits)
	for n > 0 && digits[n-1] == '0' {
		n--
	}
	return digits[:n], exp + int64(len(digits)-n)
}

// appendRationalForm appends the form of num / den, den positive, in any terms.
func appendRationalForm(dst []byte, num, den *big.Int) []byte {
	gcd := new(big.Int).GCD(nil, nil, new(big.Int).Abs(num), den)
	if gcd.Cmp(bigOne) != 0 && gcd.Sign() != 0 {
		num, den = new(big.Int).Quo(num, gcd), new(big.Int).Quo(den, gcd)
	}
	if den.Cmp(bigOne) == 0 {
		return appendWholeForm(dst, num)
	}
	twos := int64(den.TrailingZeroBits())
	rest, left := divideOutFives(new(big.Int).Rsh(den, uint(twos)), math.MaxInt64)
	fives := math.MaxInt64 - left
	if rest.Cmp(bigOne) != 0 {
		return appendFractionExt(dst, num, den)
	}
	if out, ok := appendBinaryForm(dst, num, twos, fives); ok {
		return out
	}
	scale := powerOf(5, max(twos-fives, 0))
	scale.Lsh(scale, uint(max(fives-twos, 0)))
	return appendScaledForm(dst, scale.Mul(scale, num), -max(twos, fives))
}

// appendBinaryForm appends num / (2^twos * 5^fives), in lowest terms, if its form is a float64 or a
// Fraction.
func appendBinaryForm(dst []byte, num *big.Int, twos, fives int64) (_ []byte, ok bool) {
	if fives == 0 && num.BitLen() <= 53 && twos <= 1074 {
		return appendFloat(dst, math.Ldexp(float64(num.Int64()), -int(twos))), true
	}
	if twos < 2*fives || twos >= 8*maxKeyNumber || num.BitLen() >= 8*maxKeyNumber {
		return dst, false
	}
	den := powerOf(5, fives)
	if den.Lsh(den, uint(twos)).BitLen() >= 8*maxKeyNumber {
		return dst, false
	}
	return appendFractionExt(dst, num, den), true
}

// appendDecimalForm appends the form of a finite Decimal.
func appendDecimalForm(dst []byte, d *decimal) []byte {
	var room [64]byte
	digits, exp := trimEnd(d.digits(room[:0]), d.exp)
	if len(digits) == 0 {
		return append(dst, 0)
	}
	switch {
	case exp > wholeZeros:
	case exp >= 0:
		if len(digits) > 8*maxKeyNumber*30103/100000+1 { // more digits than an int in a key has
			break
		}
		num := d.signed(digits)
		return appendWholeForm(dst, num.Mul(num, powerOf(10, exp)))
	case digits[len(digits)-1] == '5' && -exp < 8*maxKeyNumber && mayHaveFives(len(digits), -exp/2):
		num, left := divideOutFives(d.signed(digits), -exp)
		if out, ok := appendBinaryForm(dst, num, -exp, left); ok {
			return out
		}
	}
	return appendDecimalExt(dst, d.neg, digits, exp)
}

// signed is the number that digits make, with the sign of d.
func (d *decimal) signed(digits []byte) *big.Int {
	x, _ := new(big.Int).SetString(string(digits), 10)
	if d.neg {
		x.Neg(x)
	}
	return x
}

// mayHaveFives reports whether a number of so many decimal digits is large enough for 5^fives to
// divide it. log10(5) is 0.69897
func mayHaveFives(digits int, fives int64) bool { return 699*fives <= 1000*int64(digits) }

// divideOutFives divides x by the largest power of five, at most 5^limit, that divides it; left is
// the rest of limit.
func divideOutFives(x *big.Int, limit int64) (_ *big.Int, left int64) {
	type power struct {
		exponent int64
		value    *big.Int
	}
	powers := []power{{1, big.NewInt(5)}}
	quotient, rest := new(big.Int), new(big.Int)
	if rest.Rem(x, powers[0].value).Sign() != 0 {
		return x, limit
	}
	for last := powers[0]; 2*last.exponent <= limit && last.value.BitLen() < x.BitLen(); last = powers[len(powers)-1] {
		powers = append(powers, power{2 * last.exponent, new(big.Int).Mul(last.value, last.value)})
	}
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
