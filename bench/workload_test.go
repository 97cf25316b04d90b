package bench

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
)

func takeAll(s stream, most int) (taken []string) {
	for range most {
		op, item, ok := s.take()
		if !ok {
			break
		}
		taken = append(taken, fmt.Sprint(op, item))
	}
	return taken
}

func TestStreamsDependOnSeedAndConnectionAlone(t *testing.T) {
	first := takeAll(randomStream(OpMixed, 1000, 7, 3), 200)
	if again := takeAll(randomStream(OpMixed, 1000, 7, 3), 200); !slices.Equal(first, again) {
		t.Error("the same seed and connection give another order")
	}
	if other := takeAll(randomStream(OpMixed, 1000, 8, 3), 200); slices.Equal(first, other) {
		t.Error("another seed gives the same order")
	}
	if other := takeAll(randomStream(OpMixed, 1000, 7, 4), 200); slices.Equal(first, other) {
		t.Error("another connection gives the same order")
	}
}

// TestStreamIsKnown keeps the order of one seed, so that figures of different versions
// come from the same requests.
func TestStreamIsKnown(t *testing.T) {
	want := []string{"get 74", "get 43", "set 20", "get 45", "set 31", "get 51"}
	if got := takeAll(randomStream(OpMixed, 100, 1, 0), 6); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	items := newItems(Fixed(16), Fixed(32), 1)
	if got, want := string(
		items.appendKey(nil, 5),
	)+" "+string(
		items.appendValue(nil, 5),
	), "6da776bc8c7f724e 6da776bc8c7f724e1kFQHUef5hsd6Jc_"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRandomStreamIsEvenAndMixedInRatio(t *testing.T) {
	const keys, draws, setsOneIn = 10, 200_000, 10
	var counts [keys]int
	sets := 0
	s := randomStream(OpMixed, keys, 1, 0)
	for range draws {
		op, item, _ := s.take()
		counts[item]++
		if op == OpSet {
			sets++
		}
	}
	for item, n := range counts {
		if n < draws/keys*95/100 || n > draws/keys*105/100 {
			t.Errorf("item %d was drawn %d times of %d", item, n, draws)
		}
	}
	if sets < draws/setsOneIn*95/100 || sets > draws/setsOneIn*105/100 {
		t.Errorf("%d of %d are set", sets, draws)
	}
}

func TestSequentialStreamsShareTheItems(t *testing.T) {
	const entries, parts = 103, 4
	seen := map[string]int{}
	for part := range parts {
		for _, request := range takeAll(sequentialStream(OpSet, entries, part, parts), entries) {
			seen[request]++
		}
	}
	for i := range entries {
		if n := seen["set "+strconv.Itoa(i)]; n != 1 {
			t.Errorf("item %d comes %d times", i, n)
		}
	}
	if len(seen) != entries {
		t.Errorf("%d requests, want %d", len(seen), entries)
	}
}

func TestParseOp(t *testing.T) {
	for op := range opCount {
		if got, err := ParseOp(op.String()); got != op || err != nil {
			t.Errorf("%v: %v, %v", op, got, err)
		}
	}
	if _, err := ParseOp("steal"); err == nil {
		t.Error("an unknown operation is taken")
	}
}
