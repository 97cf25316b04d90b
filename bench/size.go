package bench

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Size is how many bytes keys or values have: evenly from Min to Max, both included.
type Size struct{ Min, Max int }

// Fixed is the size of keys or values that all have n bytes.
func Fixed(bytes int) Size { return Size{bytes, bytes} }

const uniformPrefix = "uniform:"

// ParseSize reads "32" or "uniform:16-256". Errors: *UsageError.
func ParseSize(text string) (Size, error) {
	least, top, isRange := strings.Cut(strings.TrimPrefix(text, uniformPrefix), "-")
	if !isRange {
		top = least
	}
	lower, err := strconv.Atoi(least)
	upper, err2 := strconv.Atoi(top)
	if err != nil || err2 != nil || lower > upper || isRange != strings.HasPrefix(text, uniformPrefix) {
		return Size{}, &UsageError{fmt.Sprintf("size %q: give a number of bytes, or %s16-256", text, uniformPrefix)}
	}
	return Size{lower, upper}, nil
}

// String returns the size as ParseSize reads it.
func (s Size) String() string {
	if s.Min == s.Max {
		return strconv.Itoa(s.Min)
	}
	return fmt.Sprintf("%s%d-%d", uniformPrefix, s.Min, s.Max)
}

// mean is the average number of bytes, rounded down.
func (s Size) mean() int { return (s.Min + s.Max) / 2 }

// of returns the number of bytes that belongs to an evenly drawn number.
func (s Size) of(random uint64) int {
	if s.Min == s.Max {
		return s.Min
	}
	above, _ := bits.Mul64(random, uint64(s.Max-s.Min+1))
	return s.Min + int(above)
}
