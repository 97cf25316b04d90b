package value

import (
	"encoding/binary"
	"math"
)

// A number's magnitude is its sign and the binary logarithm of its absolute value, estimated from
// its first digits. It takes the same short time for numbers of any size, and decides nearly all
// comparisons.
type magnitude struct {
	sign int
	log  float64
}

const log2of10 = 3.321928094887362

// compareMagnitudes compares two real numbers, if their magnitudes decide that.
func compareMagnitudes(a, b []byte) (c int, sure bool) {
	x, okX := magnitudeOf(a)
	y, okY := magnitudeOf(b)
	if !okX || !okY {
		return 0, false
	}
	return x.compare(y)
}

// compare compares two real numbers of these magnitudes, if that decides it.
func (x magnitude) compare(y magnitude) (c int, sure bool) {
	if x.sign != y.sign || x.sign == 0 {
		return compareInts(int64(x.sign), int64(y.sign)), true
	}
	// An estimate is off by about 1e-14, and by the rounding of its logarithm.
	if difference := x.log - y.log; math.Abs(difference) > 1e-9+1e-12*math.Abs(x.log) {
		return x.sign * int(math.Copysign(1, difference)), true
	}
	return 0, false
}

// magnitudeOf estimates the real number at the front of b; ok is false for an infinity or a nan.
func magnitudeOf(b []byte) (m magnitude, ok bool) {
	switch x := open(b); x.t {
	case TypeFloat:
		f := float(b)
		return magnitudeOfFloat(f), f-f == 0
	case ExtBigInt:
		// 48 bits of it at least, since the form is the shortest
		m = magnitudeOfFloat(float64(int64(binary.BigEndian.Uint64(x.body))))
		m.log += float64(8 * (len(x.body) - 8))
		return m, true
	case ExtDecimal:
		d, _ := parseDecimal(x.body)
		return magnitudeOfDecimal(&d), d.special == 0
	case ExtFraction:
		num, den := next(x.body)
		m, _ = magnitudeOf(num)
		below, _ := magnitudeOf(den)
		m.log -= below.log
		return m, true
	}
	v, isBig := integer(b)
	if isBig {
		return magnitudeOfFloat(float64(uint64(v))), true
	}
	return magnitudeOfFloat(float64(v)), true
}

func magnitudeOfFloat(f float64) magnitude {
	switch {
	case f > 0:
		return magnitude{1, math.Log2(f)}
	case f < 0:
		return magnitude{-1, math.Log2(-f)}
	}
	return magnitude{}
}

func magnitudeOfDecimal(d *decimal) magnitude {
	const enough = 17 // digits
	var room [64]byte
	digits := d.digits(room[:0])
	if len(digits) == 0 {
		return magnitude{}
	}
	first := 0.0
	for _, c := range digits[:min(len(digits), enough)] {
		first = 10*first + float64(c-'0')
	}
	exp := d.exp + int64(max(len(digits)-enough, 0))
	return magnitude{d.sign(), math.Log2(first) + float64(exp)*log2of10}
}
