package hotkeys_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/hotkeys"
)

func str(s string) []byte { return value.AppendStr(nil, s) }

// TestZipf: of many keys the most used ones are found in their order, with counts that are off by
// no more than their error.
func TestZipf(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	zipf := rand.NewZipf(rng, 1.3, 1, 1_000_000)
	sketches := []*hotkeys.Sketch{new(hotkeys.Sketch), new(hotkeys.Sketch)}
	counts := make(map[string]uint64)
	const n = 100_000
	for i := range n {
		key := fmt.Sprint("key", zipf.Uint64())
		counts["'"+key+"'"]++
		sketches[i%2].Add([]byte("users"), str(key), 0)
	}
	hot := hotkeys.Merge(sketches, 0)
	if hot.Sampled != n || len(hot.Keys) != 50 {
		t.Fatalf("%d keys of %d requests", len(hot.Keys), hot.Sampled)
	}
	for i, k := range hot.Keys {
		real := counts[k.Key]
		if k.Table != "users" || k.Count < real-min(k.Error, real) || k.Count > real+k.Error {
			t.Errorf("%+v, really %d", k, real)
		}
		if share := float64(k.Count) / n; k.Share != share {
			t.Errorf("share %g, want %g", k.Share, share)
		}
		if want := fmt.Sprintf("'key%d'", i); i < 3 && k.Key != want {
			t.Errorf("%s is place %d", k.Key, i)
		}
	}
}

// TestDecay: what was hot is forgotten, what is hot comes first.
func TestDecay(t *testing.T) {
	t.Parallel()
	s := new(hotkeys.Sketch)
	add := func(key string, n int, now time.Duration) {
		for range n {
			s.Add([]byte("t"), str(key), now)
		}
	}
	add("old", 1000, time.Second)
	add("new", 400, 21*time.Second)
	hot := hotkeys.Merge([]*hotkeys.Sketch{s}, 25*time.Second)
	if len(hot.Keys) != 2 || hot.Keys[0].Key != "'new'" || hot.Keys[1].Count != 250 || hot.Sampled != 650 {
		t.Errorf("%+v", hot)
	}
	if hot = hotkeys.Merge([]*hotkeys.Sketch{s}, time.Hour); len(hot.Keys) != 0 || hot.Sampled != 0 {
		t.Errorf("%+v after an hour", hot)
	}
	add("newer", 2, time.Hour)
	if hot = hotkeys.Merge([]*hotkeys.Sketch{s}, time.Hour); len(hot.Keys) != 1 || hot.Keys[0].Key != "'newer'" {
		t.Errorf("%+v", hot)
	}
}

// TestLongKeys: keys that differ only at their ends are different, and tables keep theirs apart.
func TestLongKeys(t *testing.T) {
	t.Parallel()
	s := new(hotkeys.Sketch)
	long := strings.Repeat("k", 1<<20)
	for range 3 {
		s.Add([]byte("a"), str(long+"1"), 0)
	}
	for range 2 {
		s.Add([]byte("a"), str(long+"2"), 0)
	}
	s.Add([]byte("b"), str(long+"2"), 0)
	s.Add([]byte("b"), str(long+"2"), 0)
	hot := hotkeys.Merge([]*hotkeys.Sketch{s}, 0)
	if len(hot.Keys) != 3 || hot.Keys[0].Count != 3 || hot.Keys[1].Count != 2 || hot.Keys[2].Table != "b" ||
		len(hot.Keys[0].Key) != 64 {
		t.Errorf("%+v", hot)
	}
}

// TestUniform: where no key is hot, few are shown.
func TestUniform(t *testing.T) {
	t.Parallel()
	s := new(hotkeys.Sketch)
	for i := range 100_000 {
		s.Add([]byte("t"), str(fmt.Sprint(i)), 0)
	}
	if hot := hotkeys.Merge([]*hotkeys.Sketch{s}, 0); len(hot.Keys) != 0 {
		t.Errorf("%+v", hot.Keys)
	}
}

// TestNoise: keys that were seen once are not shown, nor those whose counts are mostly the error of
// a counter that was taken over.
func TestNoise(t *testing.T) {
	t.Parallel()
	s := new(hotkeys.Sketch)
	add := func(key string, n int) {
		for range n {
			s.Add([]byte("t"), str(key), 0)
		}
	}
	add("hot", 1000)
	add("twice", 2)
	add("once", 1)
	expect := func(want ...string) {
		t.Helper()
		hot := hotkeys.Merge([]*hotkeys.Sketch{s}, 0)
		got := make([]string, 0, len(hot.Keys))
		for _, k := range hot.Keys {
			got = append(got, k.Key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v, want %q", hot.Keys, want)
		}
	}
	expect("'hot'", "'twice'")
	for i := range 5000 { // each counter but that of hot has a count of about 20
		add(fmt.Sprint("rare", i), 1)
	}
	add("doubtful", 10)
	expect("'hot'")
	add("doubtful", 20)
	expect("'hot'", "'doubtful'")
}

// BenchmarkAdd is the cost of a request that is looked at, for a key that has no counter.
func BenchmarkAdd(b *testing.B) {
	s := new(hotkeys.Sketch)
	keys := make([][]byte, 10_000)
	for i := range keys {
		keys[i] = str(fmt.Sprint("key:", i))
	}
	b.ReportAllocs()
	for i := range b.N {
		s.Add([]byte("users"), keys[i%len(keys)], 0)
	}
}
