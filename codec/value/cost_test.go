package value

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// mostOff is how many times its estimate a use may take.
const mostOff = 8

// arrayOf returns an array of n values.
func arrayOf(n int, make func(i int) []byte) []byte {
	b := msgp.AppendArrayHeader(nil, uint32(n))
	for i := range n {
		b = append(b, make(i)...)
	}
	return b
}

func extOf(code int8, payload []byte) []byte { return AppendExt(nil, code, payload) }

// shortest returns the shortest time that f takes.
func shortest(f func()) time.Duration {
	best := time.Hour
	for range 10 {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return best
}

// TestCostIsABound: a use of a value takes no more than a few times its estimate, in the time of
// this machine: what it takes to check ints.
func TestCostIsABound(t *testing.T) {
	ints := func(i int) []byte { return AppendInt(nil, int64(i)) }
	unit := arrayOf(50_000, ints)
	estimate, _ := Cost(unit, UseCheck, math.MaxInt)
	// how many times as long as estimated this machine takes now
	slow := func() float64 { return max(1, float64(shortest(func() { _, _ = Check(unit) }))/float64(estimate)) }
	decimals := func(i int) []byte { return appendDecimalExt(nil, false, []byte("123456789"), int64(-2300-i)) }
	texts := func(i int) []byte { return msgp.AppendString(nil, "key "+string(rune('a'+i%26))+string(rune(1000+i))) }
	frozen := func(b []byte) []byte { return extOf(ExtFrozenSet, b) }
	deep := frozen(arrayOf(190, decimals))
	for range maxKeyDepth - 2 {
		deep = frozen(append([]byte{0x91}, deep...))
	}
	for name, b := range map[string][]byte{
		"list of ints":         arrayOf(5000, ints),
		"set of ints":          extOf(ExtSet, arrayOf(5000, ints)),
		"frozenset of texts":   frozen(arrayOf(5000, texts)),
		"frozenset of numbers": frozen(arrayOf(1000, decimals)),
		"frozensets nested":    deep,
		"tuple of floats":      extOf(ExtTuple, arrayOf(5000, func(i int) []byte { return appendFloat(nil, float64(i)/3) })),
		"lists nested":         append(bytes.Repeat([]byte{0x91}, MaxDepth-1), arrayOf(5000, ints)...),
		"text":                 msgp.AppendString(nil, string(bytes.Repeat([]byte("\u00e9"), 30_000))),
		"int":                  extOf(ExtBigInt, bytes.Repeat([]byte{0x55}, 1000)),
	} {
		if n, err := Check(b); err != nil || n != len(b) {
			t.Fatalf("%s: %v", name, err)
		}
		within := func(what string, use Use, f func()) {
			estimate, size := Cost(b, use, math.MaxInt)
			if size != len(b) {
				t.Errorf("%s: %d bytes of %d", name, size, len(b))
			}
			took := time.Duration(0)
			for range 10 { // other programs may run meanwhile
				took = shortest(f)
				if took <= time.Duration(mostOff*slow()*float64(estimate))+100*time.Microsecond {
					return
				}
			}
			t.Errorf("%s: %s takes %v, the estimate is %v", name, what, took, time.Duration(estimate))
		}
		twin := bytes.Clone(b)
		within("Check", UseCheck, func() { _, _ = Check(b) })
		within("Equal", UseCompare, func() { Equal(b, twin) })
		within("Less", UseCompare, func() { _, _ = Less(b, twin) })
		within("Key", UseKey, func() { _, _, _ = Key(b, nil) })
		if len(b) <= 4<<10 { // of larger ones no error text shows the repr
			within("Repr", UseKey, func() { _, _ = Repr(b) })
		}
	}
}

// TestCostStops: the estimate of a large value does not take long, nor does it allocate.
func TestCostStops(t *testing.T) {
	b := arrayOf(MaxElements, func(int) []byte { return []byte{0} })
	const limit = 1000
	cost, _ := Cost(b, UseKey, limit)
	if whole, _ := Cost(b, UseKey, math.MaxInt); cost <= limit || cost > whole/100 {
		t.Errorf("%d of %d", cost, whole)
	}
	if n := testing.AllocsPerRun(10, func() { Cost(b, UseKey, limit) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
