package govalue_test

import (
	"testing"
	"time"

	"cyberdb-fast/codec/govalue"
)

func noAllocs[T any](t *testing.T, v T) {
	t.Helper()
	room := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { _, _ = govalue.AppendOf(room, v) }); n != 0 {
		t.Errorf("AppendOf[%T] allocates %v times", v, n)
	}
	boxed := any(v)
	if n := testing.AllocsPerRun(100, func() { _, _ = govalue.Append(room, boxed) }); n != 0 {
		t.Errorf("Append of a boxed %T allocates %v times", v, n)
	}
}

func allocsOf[T any](t *testing.T, v T, want float64) {
	t.Helper()
	b := mustAppend(t, v)
	if n := testing.AllocsPerRun(100, func() { _, _ = govalue.UnmarshalOf[T](b) }); n != want {
		t.Errorf("UnmarshalOf[%T] allocates %v times, want %v", v, n, want)
	}
}

func TestAllocations(t *testing.T) {
	noAllocs(t, "a string of some length")
	noAllocs(t, []byte("bytes"))
	noAllocs(t, 100000)
	noAllocs(t, int64(-100000))
	noAllocs(t, uint64(100000))
	noAllocs(t, 1.5)
	noAllocs(t, true)
	noAllocs(t, &benchUser)
	allocsOf(t, "a string of some length", 1)
	allocsOf(t, []byte("bytes"), 1)
	allocsOf(t, 100000, 0)
	allocsOf(t, int64(-100000), 0)
	allocsOf(t, uint64(100000), 0)
	allocsOf(t, 1.5, 0)
	allocsOf(t, true, 0)
}

type user struct {
	ID      int64     `cyberdb:"id"`
	Name    string    `cyberdb:"name"`
	Email   string    `cyberdb:"email,omitempty"`
	Score   float64   `cyberdb:"score"`
	Tags    []string  `cyberdb:"tags"`
	Created time.Time `cyberdb:"created"`
}

var benchUser = user{
	1234567,
	"Ada Lovelace",
	"ada@example.org",
	99.5,
	[]string{"a", "b", "c"},
	time.Unix(1700000000, 0).UTC(),
}

func benchAppend[T any](b *testing.B, v T) {
	room := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := govalue.AppendOf(room, v); err != nil {
			b.Fatal(err)
		}
	}
}

func benchUnmarshal[T any](b *testing.B, v T) {
	encoded, err := govalue.Append(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := govalue.UnmarshalOf[T](encoded); err != nil {
			b.Fatal(err)
		}
	}
}

var (
	benchList = []any{int64(1), "two", 3.0, nil, true, int64(6), "seven", []byte("eight")}
	benchMap  = map[string]int{"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
)

func BenchmarkAppend(b *testing.B) {
	b.Run("int", func(b *testing.B) { benchAppend(b, 123456) })
	b.Run("float", func(b *testing.B) { benchAppend(b, 1.5) })
	b.Run("str32", func(b *testing.B) { benchAppend(b, "0123456789abcdef0123456789abcdef") })
	b.Run("bytes32", func(b *testing.B) { benchAppend(b, []byte("0123456789abcdef0123456789abcdef")) })
	b.Run("list8", func(b *testing.B) { benchAppend(b, benchList) })
	b.Run("struct", func(b *testing.B) { benchAppend(b, &benchUser) })
	b.Run("map8", func(b *testing.B) { benchAppend(b, benchMap) })
}

func BenchmarkUnmarshal(b *testing.B) {
	b.Run("int", func(b *testing.B) { benchUnmarshal(b, 123456) })
	b.Run("float", func(b *testing.B) { benchUnmarshal(b, 1.5) })
	b.Run("str32", func(b *testing.B) { benchUnmarshal(b, "0123456789abcdef0123456789abcdef") })
	b.Run("bytes32", func(b *testing.B) { benchUnmarshal(b, []byte("0123456789abcdef0123456789abcdef")) })
	b.Run("list8", func(b *testing.B) { benchUnmarshal(b, benchList) })
	b.Run("struct", func(b *testing.B) { benchUnmarshal(b, benchUser) })
	b.Run("map8", func(b *testing.B) { benchUnmarshal(b, benchMap) })
}
