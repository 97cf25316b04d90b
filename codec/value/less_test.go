package value

import (
	"bytes"
	"testing"
	"time"
)

// nestedLists returns a list in lists, as deep as may be, with an int in the middle.
func nestedLists(middle byte) []byte {
	return append(bytes.Repeat([]byte{0x91}, MaxDepth), middle)
}

// fastest returns the shortest time that f takes.
func fastest(f func()) time.Duration {
	best := time.Hour
	for range 20 {
		start := time.Now()
		for range 10 {
			f()
		}
		best = min(best, time.Since(start))
	}
	return best
}

// TestLessLooksOnce compares lists that differ in the middle of as many lists as may be: it takes
// about as long as to see that they differ.
func TestLessLooksOnce(t *testing.T) {
	a, b := nestedLists(1), nestedLists(2)
	less, err := Less(a, b)
	if more, err2 := Less(b, a); !less || more || err != nil || err2 != nil {
		t.Fatalf("%v, %v; %v, %v", less, more, err, err2)
	}
	equal, order := fastest(func() { Equal(a, b) }), fastest(func() { _, _ = Less(a, b) })
	if order > 8*equal {
		t.Errorf("< takes %v, == %v", order, equal)
	}
}
