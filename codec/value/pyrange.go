package value

import "math/big"

// span is a Python range.
type span struct{ start, stop, step *big.Int }

func spanOf(x item) span {
	start, rest := next(x.body)
	stop, rest := next(rest)
	return span{bigInt(start), bigInt(stop), bigInt(rest)}
}

// len is the number of elements.
func (r span) len() *big.Int {
	reach := new(big.Int).Sub(r.stop, r.start)
	step := r.step
	if step.Sign() < 0 {
		reach.Neg(reach)
		step = new(big.Int).Neg(step)
	}
	if reach.Sign() <= 0 {
		return new(big.Int)
	}
	reach.Add(reach, step)
	reach.Sub(reach, bigOne)
	return reach.Quo(reach, step)
}

// at is the element with index i.
func (r span) at(i *big.Int) *big.Int {
	x := new(big.Int).Mul(i, r.step)
	return x.Add(x, r.start)
}

// canonical is the one range that stands for all ranges of the same elements.
func (r span) canonical() span {
	switch n := r.len(); {
	case n.Sign() == 0:
		return span{new(big.Int), new(big.Int), bigOne}
	case n.Cmp(bigOne) == 0:
		return span{r.start, new(big.Int).Add(r.start, bigOne), bigOne}
	default:
		return span{r.start, r.at(n), r.step}
	}
}

func (r span) equal(other span) bool {
	return r.start.Cmp(other.start) == 0 && r.stop.Cmp(other.stop) == 0 && r.step.Cmp(other.step) == 0
}

func equalRanges(x, y item) bool { return spanOf(x).canonical().equal(spanOf(y).canonical()) }
