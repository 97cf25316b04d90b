package value

import "math/big"

// Python's default decimal context: 28 digits, rounded half to even, exponents within six digits.
const (
	decimalDigits  = 28
	maxAdjustedExp = 999999
	lowestExp      = -999999 - decimalDigits + 1 // of the last digit of a subnormal
)

// finite is a finite Decimal that is calculated with.
type finite struct {
	neg bool
	n   *big.Int // not negative
	exp int64
}

// precision is the number of digits, 1 for zero.
func (x *finite) precision() int64 { return int64(len(x.n.Text(10))) }

// shifted is n times 10 to the by.
func (x *finite) shifted(by int64) *big.Int { return new(big.Int).Mul(x.n, powerOf(10, by)) }

// appendDecimalSum appends the sum of two Decimals, or of one and an int.
func appendDecimalSum(dst, a, b []byte) ([]byte, error) {
	for _, operand := range [][]byte{a, b} {
		if x := open(operand); x.t == ExtDecimal {
			if d, _ := parseDecimal(x.body); d.special == 's' {
				return dst, invalidOperation()
			}
		}
	}
	x, y := decimalOf(a), decimalOf(b)
	switch {
	case x.special == 'N':
		return append(dst, a[:Size(a)]...), nil
	case y.special == 'N':
		return append(dst, b[:Size(b)]...), nil
	case x.special == 'I' && y.special == 'I' && x.neg != y.neg:
		return dst, invalidOperation()
	case x.special == 'I':
		return append(dst, a[:Size(a)]...), nil
	case y.special == 'I':
		return append(dst, b[:Size(b)]...), nil
	}
	return appendRounded(dst, addFinite(finiteOf(a), finiteOf(b)))
}

// decimalOf reads a Decimal; an int is the zero decimal, that is a number.
func decimalOf(b []byte) (d decimal) {
	if x := open(b); x.t == ExtDecimal {
		d, _ = parseDecimal(x.body)
	}
	return d
}

func finiteOf(b []byte) finite {
	if x := open(b); x.t == ExtDecimal {
		d, _ := parseDecimal(x.body)
		n := d.coefficient()
		return finite{d.neg, n.Abs(n), d.exp}
	}
	n := bigInt(b)
	return finite{n.Sign() < 0, n.Abs(n), 0}
}

// addFinite adds; what is too far below the rounding place is kept as a trace only, so the work
// does not depend on the exponents.
func addFinite(x, y finite) finite {
	exp := min(x.exp, y.exp)
	switch {
	case x.n.Sign() == 0 && y.n.Sign() == 0:
		return finite{x.neg && y.neg, x.n, exp}
	case x.n.Sign() == 0:
		return padded(y, exp)
	case y.n.Sign() == 0:
		return padded(x, exp)
	}
	if x.exp < y.exp {
		x, y = y, x
	}
	if trace := x.exp + min(-1, x.precision()-decimalDigits-2); y.precision()+y.exp-1 < trace {
		y.n, y.exp = big.NewInt(1), trace
	}
	a, b := x.shifted(x.exp-y.exp), y.n
	if x.neg == y.neg {
		return finite{x.neg, a.Add(a, b), y.exp}
	}
	if a.Sub(a, b).Sign() < 0 {
		return finite{y.neg, a.Neg(a), y.exp}
	}
	return finite{x.neg && a.Sign() > 0, a, y.exp}
}

// padded gives x zeros at its end down to exp, as far as they matter.
func padded(x finite, exp int64) finite {
	if exp = max(exp, x.exp-decimalDigits-1); exp < x.exp {
		x.n, x.exp = x.shifted(x.exp-exp), exp
	}
	return x
}

// appendRounded appends x as a Decimal, rounded to the default context. Errors: *Error
// OverflowError as decimal.Overflow.
func appendRounded(dst []byte, x finite) ([]byte, error) {
	if x.n.Sign() == 0 {
		return appendDecimalExt(dst, x.neg, nil, min(max(x.exp, lowestExp), maxAdjustedExp)), nil
	}
	const highestExp = maxAdjustedExp - decimalDigits + 1
	exp := x.precision() + x.exp - decimalDigits
	if exp <= highestExp {
		if exp = max(exp, lowestExp); x.exp < exp {
			x.n, x.exp = roundedHalfEven(x.n, exp-x.exp), exp
			if x.precision() > decimalDigits {
				x.n.Quo(x.n, big.NewInt(10))
				x.exp++
				exp++
			}
		}
	}
	if exp > highestExp {
		return dst, &Error{Kind: OverflowError, Msg: "[<class 'decimal.Overflow'>]"}
	}
	var digits []byte
	if x.n.Sign() > 0 {
		digits = x.n.Append(nil, 10)
	}
	return appendDecimalExt(dst, x.neg, digits, x.exp), nil
}

// roundedHalfEven drops the last digits of n.
func roundedHalfEven(n *big.Int, dropped int64) *big.Int {
	if dropped > int64(len(n.Text(10))) {
		return new(big.Int) // below one half
	}
	unit := powerOf(10, dropped)
	quotient, rest := new(big.Int).QuoRem(n, unit, new(big.Int))
	if c := rest.Lsh(rest, 1).Cmp(unit); c > 0 || c == 0 && quotient.Bit(0) == 1 {
		quotient.Add(quotient, bigOne)
	}
	return quotient
}
