package bench

import (
	"math"
	"testing"
)

// TestZipfFrequencies compares how often the first ranks are drawn with 1/rank^s.
func TestZipfFrequencies(t *testing.T) {
	const draws = 400_000
	for _, c := range []struct {
		n int
		s float64
	}{{1, 0.99}, {2, 0.5}, {1000, 0.5}, {1000, 0.99}, {1000, 1}, {100_000, 1.2}, {50, 3}} {
		z := newZipf(c.n, c.s)
		random := stream{state: 42}
		counts := make([]int, c.n)
		for range draws {
			counts[z.draw(random.random)]++
		}
		sum := 0.0
		for rank := range c.n {
			sum += math.Pow(float64(rank+1), -c.s)
		}
		for rank := range min(c.n, 20) {
			want := draws * math.Pow(float64(rank+1), -c.s) / sum
			if off := math.Abs(float64(counts[rank]) - want); off > 5*math.Sqrt(want)+1 {
				t.Errorf("n %d, s %v: rank %d was drawn %d times, want %.0f", c.n, c.s, rank, counts[rank], want)
			}
		}
	}
}
