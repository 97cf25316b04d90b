package value_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// TestMatcherIsEqual compares all golden values, and numbers close to each other, with each other
// by a Matcher, and by Equal.
func TestMatcherIsEqual(t *testing.T) {
	var all [][]byte
	goldenLines(t, "values.txt", 1, func(_ []string, b []byte) { all = append(all, b) })
	large := power(10, 4600)
	for _, v := range []any{
		large, new(big.Int).Add(large, big.NewInt(1)), new(big.Int).Add(large, power(2, 4600)), negated(large), govalue.Decimal("1E+4600"), govalue.Decimal("-1E+4600"),
		new(big.Rat).SetFrac(big.NewInt(1), large), govalue.Decimal("1E-4600"), new(big.Rat).SetFrac(big.NewInt(1), power(2, 1074)), 5e-324, power(2, 1000), math.Ldexp(1, 1000),
		govalue.Decimal("9007199254740993" + strings.Repeat("0", 40)), govalue.Decimal("NaN"), govalue.Decimal("Infinity"), math.Inf(1), complex(math.Ldexp(1, 1000), 0),
		govalue.Decimal("1E+999999999999999999"), govalue.Decimal("1.000000000000000000000000000000001E+999999999999999999"), new(big.Rat).SetFrac(power(10, 3000), power(7, 30)),
	} {
		all = append(
			all,
			mustAppend(t, v),
			mustAppend(t, []any{v, "x"}),
			mustAppend(t, govalue.Dict{{Key: 1, Value: v}}),
			mustAppend(t, govalue.Counter{{Key: "k", Value: v}}),
		)
	}
	for _, b := range all {
		m := value.NewMatcher(b)
		for range 2 { // what it keeps is in use the second time
			for _, a := range all {
				if got, want := m.Equal(a), value.Equal(a, b); got != want {
					t.Fatalf("%x == %x: %v by a Matcher, %v by Equal", a, b, got, want)
				}
			}
		}
	}
}

// TestMatcherTimeDependsOnOther compares a large value with small ones that might equal it: that
// takes little longer for each than a small value does.
func TestMatcherTimeDependsOnOther(t *testing.T) {
	digits := strings.Repeat("7", 100_000)
	long := govalue.Tuple{digits, digits, govalue.Tuple{digits}}
	for name, c := range map[string]struct{ large, small any }{
		"an int and a Decimal":      {power(10, 19_000), govalue.Decimal("1E+19000")},
		"a Fraction and a Decimal":  {new(big.Rat).SetFrac(big.NewInt(1), power(10, 19_000)), govalue.Decimal("1E-19000")},
		"such in a list":            {[]any{1, power(10, 19_000)}, []any{1, govalue.Decimal("1E+19000")}},
		"dicts of one key":          {govalue.Dict{{Key: long, Value: 0}}, govalue.Dict{{Key: 0, Value: 0}}},
		"sets of one member":        {govalue.Set{long}, govalue.Set{0}},
		"dicts in a dict":           {govalue.Dict{{Key: 0, Value: govalue.Dict{{Key: long, Value: 0}}}}, govalue.Dict{{Key: 0, Value: govalue.Dict{{Key: 0, Value: 0}}}}},
		"Counters, others empty":    {govalue.Counter{{Key: long, Value: 1}}, govalue.Counter{{Key: 0, Value: 1}}},
		"frozensets of one Decimal": {govalue.FrozenSet{govalue.Decimal("1." + digits[:8000])}, govalue.FrozenSet{govalue.Decimal("1.7")}},
	} {
		large, small := mustAppend(t, c.large), mustAppend(t, c.small)
		took := func(kept []byte) time.Duration {
			best := time.Hour
			for range 5 {
				m := value.NewMatcher(kept)
				m.Equal(small)
				start := time.Now()
				for range 200 {
					m.Equal(small)
				}
				best = min(best, time.Since(start))
			}
			return best
		}
		if few, many := took(small), took(large); many > 30*few+2*time.Millisecond && !raceEnabled {
			t.Errorf("%s: 200 comparisons took %v, among small ones %v", name, many, few)
		}
	}
}

// TestNestedListsAreComparedOnce compares lists in lists whose last elements differ: that takes
// little longer than for the same elements in one list.
func TestNestedListsAreComparedOnce(t *testing.T) {
	const depth, wide = 120, 200
	pair := func(last int) (flat, nested []byte) {
		all, inner := []any{}, any(last)
		for range depth {
			level := []any{}
			for i := range wide {
				level = append(level, i)
			}
			all, inner = append(all, level...), append(append(level, inner), "x")
		}
		return mustAppend(t, append(all, last)), mustAppend(t, inner)
	}
	flat1, nested1 := pair(1)
	flat2, nested2 := pair(2)
	took := func(a, b []byte) time.Duration {
		best := time.Hour
		for range 5 {
			start := time.Now()
			if less, err := value.Less(a, b); err != nil || !less || value.Equal(a, b) || !value.Equal(a, a) {
				t.Fatal(less, err)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	if once, deep := took(flat1, flat2), took(nested1, nested2); deep > 5*once+time.Millisecond {
		t.Errorf("comparing takes %v, nested %v", once, deep)
	}
}

// TestNumbersAreOrderedByAnyType compares numbers that are close to each other, of all types, with
// what math/big says.
func TestNumbersAreOrderedByAnyType(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		s := spread{big.NewInt(rng.Int64N(1 << rng.IntN(62))), rng.IntN(600) - 300, rng.IntN(600) - 300}
		x := s.rat()
		near := new(
			big.Rat,
		).Add(x, new(big.Rat).Mul(x, new(big.Rat).SetFrac(big.NewInt(rng.Int64N(3)-1), power(2, rng.Int64N(60)))))
		y := spread{new(big.Int).Set(near.Num()), 0, 0}
		for _, divisor := range []struct {
			base  int64
			count *int
		}{{2, &y.twos}, {5, &y.fives}} {
			for rest := new(big.Int).Set(near.Denom()); new(big.Int).Rem(rest, big.NewInt(divisor.base)).Sign() == 0; rest.Quo(rest, big.NewInt(divisor.base)) {
				*divisor.count--
			}
		}
		if y.rat().Cmp(near) != 0 {
			t.Fatalf("%v is written as %v", near, y)
		}
		for nameA, a := range s.encodings(t, rng) {
			for nameB, b := range y.encodings(t, rng) {
				if strings.HasPrefix(nameA+nameB, "complex") || nameB == "complex" {
					continue
				}
				less, err := value.Less(a, b)
				if err != nil || less != (x.Cmp(near) < 0) || value.Equal(a, b) != (x.Cmp(near) == 0) {
					t.Fatalf("%s %v, %s %v: less %v, equal %v, %v", nameA, x, nameB, near, less, value.Equal(a, b), err)
				}
			}
		}
	}
	for _, pair := range [][2]any{{power(10, 4600), govalue.Decimal("1E+4601")}, {math.Inf(-1), govalue.Decimal("-1E+999999999999999999")}, {0, govalue.Decimal("1E-999999999999999999")}} {
		if less, err := value.Less(mustAppend(t, pair[0]), mustAppend(t, pair[1])); err != nil || !less {
			t.Errorf("%.30v < %v: %v, %v", pair[0], pair[1], less, err)
		}
	}
}
