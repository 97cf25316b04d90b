package value

import (
	"math"
	"strconv"
)

// decimal is a parsed Decimal: 0.whole frac... as written, that is the digits of whole and then of
// frac, times 10 to the exp.
type decimal struct {
	neg         bool
	special     byte   // 0 for a number, 'I' infinity, 'N' nan, 's' signaling nan
	whole, frac []byte // digits; of a nan whole is its payload
	exp         int64  // of the last digit
}

// maxDecimalExp bounds the exponent of a Decimal's last digit either way; Python's own bound is
// just below.
const maxDecimalExp = 2_000_000_000_000_000_000

// IsDecimal reports whether p is the payload of a Decimal: as str(Decimal) writes it, to the byte,
// and not too long.
func IsDecimal(p []byte) bool {
	_, ok := parseDecimal(p)
	return ok
}

// parseDecimal reads the payload of a Decimal. ok says that it is as str(Decimal) writes it, to the
// byte.
func parseDecimal(p []byte) (d decimal, ok bool) {
	if len(p) > MaxNumberBytes {
		return d, false
	}
	if len(p) > 0 && p[0] == '-' {
		d.neg, p = true, p[1:]
	}
	if len(p) == 0 {
		return d, false
	}
	if p[0] < '0' || p[0] > '9' {
		return d, d.parseSpecial(p)
	}
	d.whole, p = cutDigits(p)
	if len(p) > 0 && p[0] == '.' {
		if d.frac, p = cutDigits(p[1:]); len(d.frac) == 0 {
			return d, false
		}
	}
	d.exp = -int64(len(d.frac))
	if len(p) > 0 {
		e, ok := parseExponent(p)
		d.exp += e
		return d, ok && d.exp >= -maxDecimalExp && len(d.whole) == 1 && (d.whole[0] != '0' || len(d.frac) == 0) &&
			(d.exp > 0 || e < -6)
	}
	return d, (d.whole[0] != '0' || len(d.whole) == 1) && int64(max(1, d.precision()))+d.exp > -6
}

func (d *decimal) parseSpecial(p []byte) bool {
	if string(p) == "Infinity" {
		d.special = 'I'
		return true
	}
	d.special = 'N'
	if p[0] == 's' {
		d.special, p = 's', p[1:]
	}
	if len(p) < 3 || string(p[:3]) != "NaN" {
		return false
	}
	d.whole, p = cutDigits(p[3:])
	return len(p) == 0 && (len(d.whole) == 0 || d.whole[0] != '0')
}

// parseExponent reads "E+5".
func parseExponent(p []byte) (e int64, ok bool) {
	if len(p) < 3 || len(p) > 21 || p[0] != 'E' || p[1] != '+' && p[1] != '-' || p[2] == '0' {
		return 0, false
	}
	for _, c := range p[2:] {
		if c < '0' || c > '9' || e > maxDecimalExp/10 {
			return 0, false
		}
		e = 10*e + int64(c-'0')
	}
	if p[1] == '-' {
		e = -e
	}
	return e, e <= maxDecimalExp && e >= -maxDecimalExp
}

// cutDigits cuts p after the digits that it begins with.
func cutDigits(p []byte) (digits, rest []byte) {
	n := 0
	for n < len(p) && p[n] >= '0' && p[n] <= '9' {
		n++
	}
	return p[:n], p[n:]
}

// digits returns the coefficient without leading zeros, empty for zero; it is a view, or appended
// to dst.
func (d *decimal) digits(dst []byte) []byte {
	switch whole := trimZeros(d.whole); {
	case len(whole) == 0:
		return trimZeros(d.frac)
	case len(d.frac) == 0:
		return whole
	default:
		return append(append(dst, whole...), d.frac...)
	}
}

// precision is the number of digits.
func (d *decimal) precision() int {
	if whole := trimZeros(d.whole); len(whole) > 0 {
		return len(whole) + len(d.frac)
	}
	return len(trimZeros(d.frac))
}

func trimZeros(digits []byte) []byte {
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
	}
	return digits
}

// sign is -1, 0 or 1; 0 for a nan.
func (d *decimal) sign() int {
	switch {
	case d.special == 'N' || d.special == 's', d.special == 0 && d.precision() == 0:
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// compareMagnitude compares two finite Decimals without their signs; neither is zero.
func (d *decimal) compareMagnitude(other *decimal) int {
	var room, otherRoom [64]byte
	x, y := d.digits(room[:0]), other.digits(otherRoom[:0])
	if dx, dy := int64(len(x))+d.exp, int64(len(y))+other.exp; dx != dy {
		return compareInts(dx, dy)
	}
	for i := range max(len(x), len(y)) {
		if a, b := digitAt(x, i), digitAt(y, i); a != b {
			return compareInts(int64(a), int64(b))
		}
	}
	return 0
}

func digitAt(digits []byte, i int) byte {
	if i < len(digits) {
		return digits[i]
	}
	return '0'
}

func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// appendDecimalText appends a Decimal as str(Decimal) writes it; digits has no leading zeros but
// may be empty for zero.
func appendDecimalText(dst []byte, neg bool, digits []byte, exp int64) []byte {
	if neg {
		dst = append(dst, '-')
	}
	if len(digits) == 0 {
		digits = []byte{'0'}
	}
	left := int64(len(digits)) + exp // digits to the left of the point
	point := left
	if exp > 0 || left <= -6 {
		point = 1
	}
	switch n := int64(len(digits)); {
	case point <= 0:
		dst = append(dst, '0', '.')
		for range -point {
			dst = append(dst, '0')
		}
		dst = append(dst, digits...)
	case point >= n:
		dst = append(dst, digits...)
		for range point - n {
			dst = append(dst, '0')
		}
	default:
		dst = append(append(append(dst, digits[:point]...), '.'), digits[point:]...)
	}
	if left != point {
		dst = append(dst, 'E')
		if left > point {
			dst = append(dst, '+')
		}
		dst = strconv.AppendInt(dst, left-point, 10)
	}
	return dst
}

// float64OfSpecial is the float that an infinite Decimal equals, or nan.
func (d *decimal) float64OfSpecial() float64 {
	switch {
	case d.special != 'I':
		return math.NaN()
	case d.neg:
		return math.Inf(-1)
	}
	return math.Inf(1)
}
