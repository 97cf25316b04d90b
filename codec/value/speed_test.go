package value_test

import (
	"strings"
	"testing"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// usual holds pairs of the values that are compared most.
var usual = []struct {
	name string
	a, b any
}{
	{"int", 1000, 1001},
	{"bigger int", int64(1) << 40, uint64(1) << 63},
	{"float", 1.5, 2.5},
	{"str 8", "abcdefgh", "abcdefgi"},
	{"str 32", strings.Repeat("a", 32), strings.Repeat("a", 31) + "b"},
	{"bytes", []byte("abc"), []byte("abd")},
	{"int and float", 1, 1.5},
}

func TestScalarsAllocateNothing(t *testing.T) {
	for _, c := range append(usual, struct {
		name string
		a, b any
	}{"None and True", nil, true}) {
		a, b := mustAppend(t, c.a), mustAppend(t, c.b)
		scratch := make([]byte, 0, 64)
		for name, f := range map[string]func(){
			"Check": func() { _, _ = value.Check(a) },
			"Size":  func() { value.Size(a) },
			"Key":   func() { _, _, _ = value.Key(b, scratch) },
			"Equal": func() { value.Equal(a, b) },
			"Less": func() {
				if c.a != nil {
					_, _ = value.Less(a, b)
				}
			},
		} {
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s of %s allocates %v times", name, c.name, n)
			}
		}
	}
}

func BenchmarkUsual(b *testing.B) {
	for _, c := range usual {
		x, err := govalue.Marshal(c.a)
		if err != nil {
			b.Fatal(err)
		}
		y, err := govalue.Marshal(c.b)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("Check/"+c.name, func(b *testing.B) {
			for b.Loop() {
				_, _ = value.Check(x)
			}
		})
		b.Run("Key/"+c.name, func(b *testing.B) {
			for b.Loop() {
				_, _, _ = value.Key(x, nil)
			}
		})
		b.Run("Equal/"+c.name, func(b *testing.B) {
			for b.Loop() {
				value.Equal(x, y)
			}
		})
		b.Run("Less/"+c.name, func(b *testing.B) {
			for b.Loop() {
				_, _ = value.Less(x, y)
			}
		})
	}
}
