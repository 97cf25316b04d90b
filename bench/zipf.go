package bench

import "math"

// zipf draws ranks 0 to n-1 with probabilities proportional to 1/(rank+1)^s, s above 0, by
// rejection-inversion. Constant after newZipf; it is shared by all streams.
//
// Source: Hörmann, Derflinger, "Rejection-inversion to generate variates from monotone discrete
// distributions", 1996. H is the integral of x^-s; h(x) = x^-s. math/rand/v2 has the same for s
// above 1 alone, and the usual skew of caches is 0.99.
type zipf struct {
	n, s          float64
	hFirst, hLast float64 // H(1.5) - 1 and H(n + 0.5)
	acceptsAtOnce float64
	oneMinusS     float64
}

func newZipf(n int, s float64) *zipf {
	z := &zipf{n: float64(n), s: s, oneMinusS: 1 - s}
	z.hFirst = z.integral(1.5) - 1
	z.hLast = z.integral(z.n + 0.5)
	z.acceptsAtOnce = 2 - z.inverse(z.integral(2.5)-math.Exp(-s*math.Ln2))
	return z
}

// integral is H: (x^(1-s) - 1) / (1-s), log x for s = 1.
func (z *zipf) integral(x float64) float64 {
	logX := math.Log(x)
	return expm1Over(z.oneMinusS*logX) * logX
}

// inverse is H's inverse.
func (z *zipf) inverse(y float64) float64 {
	t := max(y*z.oneMinusS, -1)
	return math.Exp(log1pOver(t) * y)
}

// draw turns evenly drawn numbers into a rank.
func (z *zipf) draw(random func() uint64) uint32 {
	for {
		const unit = 1.0 / (1 << 53)
		u := z.hLast + float64(random()>>11)*unit*(z.hFirst-z.hLast)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.acceptsAtOnce || u >= z.integral(k+0.5)-math.Exp(-z.s*math.Log(k)) {
			return uint32(k) - 1
		}
	}
}

// nearZero is where the quotients below are taken from their series.
const nearZero = 1e-8

// expm1Over is (e^x - 1) / x.
func expm1Over(x float64) float64 {
	if math.Abs(x) > nearZero {
		return math.Expm1(x) / x
	}
	return 1 + x/2
}

// log1pOver is log(1 + x) / x.
func log1pOver(x float64) float64 {
	if math.Abs(x) > nearZero {
		return math.Log1p(x) / x
	}
	return 1 - x/2
}
