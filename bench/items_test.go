package bench

import (
	"fmt"
	"testing"
)

func TestKeysDiffer(t *testing.T) {
	for _, c := range []struct{ keyBytes, keys int }{{1, 16}, {2, 256}, {4, 1 << 16}, {5, 100_000}, {15, 100_000}, {16, 100_000}, {40, 100_000}} {
		items := newItems(Fixed(c.keyBytes), Fixed(8), 42)
		seen := make(map[string]bool, c.keys)
		for item := range uint32(c.keys) {
			key := items.appendKey(nil, item)
			if len(key) != c.keyBytes {
				t.Fatalf("%d bytes: key %q", c.keyBytes, key)
			}
			if seen[string(key)] {
				t.Fatalf("%d bytes: key %q of item %d was there before", c.keyBytes, key, item)
			}
			seen[string(key)] = true
		}
	}
}

func TestValuesBelongToTheirKeys(t *testing.T) {
	for _, size := range []int{4, 15, 16, 17, 32, 80, 1000} {
		items := newItems(Fixed(16), Fixed(size), 42)
		for item := range uint32(300) {
			value := items.appendValue(nil, item)
			if len(value) != size || !items.isSomeValue(value, 300) ||
				(size >= hexDigits && items.isSomeValue(value, int(item))) {
				t.Fatalf("%d bytes: item %d: value %q", size, item, value)
			}
			if !items.isValue(value, item) {
				t.Fatalf("%d bytes: item %d does not know its value %q", size, item, value)
			}
			if items.isValue(value, item+1) || items.isValue(value[:size-1], item) ||
				items.isValue(append(value[:size:size], 'x'), item) {
				t.Fatalf("%d bytes: value of item %d taken for another", size, item)
			}
			for at := range value {
				value[at] ^= 1
				if items.isValue(value, item) {
					t.Fatalf("%d bytes: item %d does not see a change at %d", size, item, at)
				}
				value[at] ^= 1
			}
		}
	}
}

func TestHexDigits(t *testing.T) {
	var digits [hexDigits]byte
	for i := range uint64(10_000) {
		code := mix(i)
		if putHex(digits[:], code); string(digits[:]) != fmt.Sprintf("%016x", code) {
			t.Fatalf("%x is written %s", code, digits)
		}
	}
}

func TestSizesAreDrawnEvenly(t *testing.T) {
	const draws, least, top = 20_000, 3, 12
	items := newItems(Size{16, 40}, Size{least, top}, 42)
	var counts [top + 1]int
	for item := range uint32(draws) {
		value, key := items.appendValue(nil, item), items.appendKey(nil, item)
		if !items.isValue(value, item) || len(key) < 16 || len(key) > 40 {
			t.Fatalf("item %d: key %q, value %q", item, key, value)
		}
		counts[len(value)]++
	}
	for size, n := range counts {
		even := draws / (top - least + 1)
		if size < least && n > 0 || size >= least && (n < even*9/10 || n > even*11/10) {
			t.Errorf("%d values of %d bytes", n, size)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{"32": {32, 32}, "uniform:16-256": {16, 256}} {
		if got, err := ParseSize(text); got != want || err != nil || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "16-256", "uniform:16", "uniform:9-3", "uniform:", "normal:1-2"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}
