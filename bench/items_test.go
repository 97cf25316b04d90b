package bench

import (
	"fmt"
	"testing"
)

func TestKeysDiffer(t *testing.T) {
	for _, c := range []struct{ keyBytes, keys int }{{1, 16}, {2, 256}, {4, 1 << 16}, {5, 100_000}, {15, 100_000}, {16, 100_000}, {40, 100_000}} {
		items := newItems(c.keyBytes, 8, 42)
		seen := make(map[string]bool, c.keys)
		key := make([]byte, c.keyBytes)
		for item := range uint32(c.keys) {
			items.putKey(key, item)
			if seen[string(key)] {
				t.Fatalf("%d bytes: key %q of item %d was there before", c.keyBytes, key, item)
			}
			seen[string(key)] = true
		}
	}
}

func TestValuesBelongToTheirKeys(t *testing.T) {
	for _, size := range []int{4, 15, 16, 17, 32, 80, 1000} {
		items := newItems(16, size, 42)
		value := make([]byte, size)
		for item := range uint32(300) {
			items.putValue(value, item)
			if !items.isValue(value, item) {
				t.Fatalf("%d bytes: item %d does not know its value %q", size, item, value)
			}
			if items.isValue(value, item+1) || items.isValue(value[:size-1], item) || items.isValue(append(value, 'x'), item) {
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
