package value_test

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// spread is a number num * 2^twos * 5^fives.
type spread struct {
	num         *big.Int
	twos, fives int
}

func (s spread) rat() *big.Rat {
	num, den := new(big.Int).Set(s.num), big.NewInt(1)
	for _, factor := range []struct {
		base     int64
		exponent int
	}{{2, s.twos}, {5, s.fives}} {
		if factor.exponent >= 0 {
			num.Mul(num, power(factor.base, int64(factor.exponent)))
		} else {
			den.Mul(den, power(factor.base, int64(-factor.exponent)))
		}
	}
	return new(big.Rat).SetFrac(num, den)
}

// decimalText is the number as str(Decimal) writes it, with so many zeros at its end.
func decimalText(t *testing.T, x *big.Rat, zeros int) string {
	places, exact := x.FloatPrec()
	if !exact {
		t.Fatalf("%v is no decimal", x)
	}
	scaled := new(big.Rat).Mul(x, new(big.Rat).SetInt(power(10, int64(places))))
	digits := new(big.Int).Abs(scaled.Num()).String()
	exp := -places
	if short := strings.TrimRight(digits, "0"); places == 0 && short != "" {
		digits, exp = short, len(digits)-len(short)
	}
	digits, exp = digits+strings.Repeat("0", zeros), exp-zeros
	sign := strings.Repeat("-", max(0, -x.Sign()))
	switch left := len(digits) + exp; {
	case exp > 0 || left <= -6:
		point := "."
		if len(digits) == 1 {
			point = ""
		}
		return fmt.Sprintf("%s%s%s%sE%+d", sign, digits[:1], point, digits[1:], left-1)
	case exp == 0:
		return sign + digits
	case left > 0:
		return sign + digits[:left] + "." + digits[left:]
	default:
		return sign + "0." + strings.Repeat("0", -left) + digits
	}
}

// encodings returns the number in all types that have it.
func (s spread) encodings(t *testing.T, rng *rand.Rand) map[string][]byte {
	x := s.rat()
	all := map[string][]byte{}
	factor := big.NewInt(1 + rng.Int64N(1000))
	num, den := new(big.Int).Mul(x.Num(), factor), new(big.Int).Mul(x.Denom(), factor)
	if max(num.BitLen(), den.BitLen()) < 8000 {
		parts := append(mustAppend(t, num), mustAppend(t, den)...)
		all["Fraction"] = append(
			value.AppendExtHeader(nil, value.ExtFraction, 1+len(parts)),
			append([]byte{0x92}, parts...)...)
	}
	if x.IsInt() && x.Num().BitLen() < 8000 {
		all["int"] = mustAppend(t, x.Num())
	}
	if f, exact := x.Float64(); exact {
		all["float"] = mustAppend(t, f)
		all["complex"] = mustAppend(t, complex(f, math.Copysign(0, -1)))
	}
	for _, zeros := range []int{0, rng.IntN(40)} {
		text := decimalText(t, x, zeros)
		if b, err := govalue.Append(nil, govalue.Decimal(text)); err == nil {
			all[fmt.Sprint("Decimal ", text)] = b
		}
	}
	return all
}

// TestEqualNumbersHaveOneKey writes random numbers in all types that have them: their keys are the
// same, those of the neighbours are not.
func TestEqualNumbersHaveOneKey(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	written := map[string]int{}
	for range 3000 {
		s := spread{big.NewInt(rng.Int64() >> rng.IntN(63)), rng.IntN(400) - 200, rng.IntN(400) - 200}
		if rng.IntN(2) == 0 {
			s.twos, s.fives = rng.IntN(60)-30, rng.IntN(60)-30
		}
		if rng.IntN(4) == 0 {
			s.num.Mul(s.num, power(5, int64(rng.IntN(300))))
		}
		if rng.IntN(2) == 0 {
			s.num.Neg(s.num)
		}
		var first []byte
		for name, b := range s.encodings(t, rng) {
			if _, err := value.Check(b); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			key, unequal, err := value.Key(b, nil)
			if err != nil || unequal || first != nil && !bytes.Equal(key, first) {
				t.Fatalf(
					"%s of %v * 2^%d * 5^%d: key %x, %v, %v; of another type %x",
					name,
					s.num,
					s.twos,
					s.fives,
					key,
					unequal,
					err,
					first,
				)
			}
			if again, _, err := value.Key(key, nil); err != nil || !bytes.Equal(again, key) {
				t.Fatalf("%s: the key of key %x is %x, %v", name, key, again, err)
			}
			if len(key) > 3*len(b)+16 {
				t.Errorf("%s: a key of %d bytes for %d", name, len(key), len(b))
			}
			first = key
			written[strings.Fields(name)[0]]++
		}
		s.num.Add(s.num, big.NewInt(1))
		for name, b := range s.encodings(t, rng) {
			if key, _, err := value.Key(b, nil); err != nil || bytes.Equal(key, first) {
				t.Fatalf("%s of the neighbour %v * 2^%d * 5^%d: %x, %v", name, s.num, s.twos, s.fives, key, err)
			}
		}
	}
	for _, name := range []string{"int", "float", "complex", "Fraction", "Decimal"} {
		if written[name] < 100 {
			t.Errorf("only %d numbers were a %s", written[name], name)
		}
	}
}

// TestKeysAreShort holds canonical forms to three times the bytes of what they stand for: none
// writes out what an exponent says.
func TestKeysAreShort(t *testing.T) {
	decimals := func(format string, n int) (all govalue.FrozenSet) {
		for i := range n {
			all = append(all, govalue.Decimal(fmt.Sprintf(format, i+1)))
		}
		return all
	}
	fractions := func(den *big.Int) (all govalue.Tuple) {
		for i := range 50 {
			all = append(all, new(big.Rat).SetFrac(big.NewInt(int64(2*i+1)), den))
		}
		return all
	}
	for name, v := range map[string]any{
		"small Decimals":               decimals("1.%05dE-2300", 1000),
		"large Decimals":               decimals("1.%05d1E+2300", 1000),
		"Decimals with an exponent":    govalue.Tuple(decimals("%d.5E+2000", 9)),
		"Decimals that end in a five":  decimals("1.%05d5E-2300", 1000),
		"large floats":                 govalue.Tuple{1e300, 1.5e308, -1e200},
		"Fractions over powers of two": fractions(power(2, 8000)),
		"Fractions over powers of ten": fractions(power(10, 2400)),
		"Fractions of both":            fractions(new(big.Int).Mul(power(2, 5000), power(5, 500))),
		"ints that end in zeros":       govalue.Tuple{new(big.Int).Mul(power(3, 4000), power(10, 400))},
	} {
		b := mustAppend(t, v)
		key, _, err := value.Key(b, nil)
		if err != nil || len(key) > 3*len(b)+16 {
			t.Errorf("%s: a key of %d bytes for %d, %v", name, len(key), len(b), err)
		}
	}
}

// TestNestedKeysAreCheckedOnce holds the time to check nested frozensets to what the same members
// take unnested.
func TestNestedKeysAreCheckedOnce(t *testing.T) {
	var members govalue.FrozenSet
	for i := range 3000 {
		members = append(members, govalue.Decimal(fmt.Sprintf("5E-%d", 2400+i)))
	}
	nested := mustAppend(t, members)
	flat := bytes.Clone(nested)
	for range 14 {
		nested = append(
			value.AppendExtHeader(nil, value.ExtFrozenSet, 1+len(nested)),
			append([]byte{0x91}, nested...)...)
	}
	took := func(b []byte) time.Duration {
		best := time.Hour
		for range 5 {
			start := time.Now()
			if _, err := value.Check(b); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	if once, deep := took(flat), took(nested); deep > 4*once+time.Millisecond {
		t.Errorf("checking takes %v, nested %v", once, deep)
	}
}

func TestNestedEqualMembersAreFound(t *testing.T) {
	twice := append(mustAppend(t, 1), mustAppend(t, govalue.Decimal("1.0"))...)
	b := append([]byte{0x92}, twice...)
	for range 3 {
		b = append(value.AppendExtHeader(nil, value.ExtFrozenSet, len(b)), b...)
		if _, err := value.Check(b); err == nil || !strings.Contains(err.Error(), "set member twice") {
			t.Errorf("%x: %v", b, err)
		}
		b = append([]byte{0x91}, b...)
	}
	nans := append(mustAppend(t, math.NaN()), mustAppend(t, math.NaN())...)
	b = append(value.AppendExtHeader(nil, value.ExtFrozenSet, 1+len(nans)), append([]byte{0x92}, nans...)...)
	b = append(value.AppendExtHeader(nil, value.ExtFrozenSet, 1+len(b)), append([]byte{0x91}, b...)...)
	if _, err := value.Check(b); err != nil {
		t.Errorf("two nans, which equal nothing: %v", err)
	}
}
