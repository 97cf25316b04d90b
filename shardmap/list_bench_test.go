package shardmap

import (
	"math/rand/v2"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/shardmap/rope"
)

const benchElements = 1_000_000

func BenchmarkListGet(b *testing.B) {
	l, r, c := newTestList(b, benchElements).List(), rand.New(rand.NewPCG(1, 2)), Call{}
	dst := make([]byte, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Get(&c, dst, int64(r.Uint32N(benchElements))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListSet(b *testing.B) {
	l, r, c := newTestList(b, benchElements).List(), rand.New(rand.NewPCG(1, 2)), Call{}
	elem := intElem(70_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Set(&c, int64(r.Uint32N(benchElements)), elem); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListAppend(b *testing.B) {
	l, c, elem := newTestList(b, 0).List(), Call{}, intElem(70_000)
	b.ReportAllocs()
	for b.Loop() {
		if l.Len() == 5*benchElements {
			b.StopTimer()
			_ = l.Clear(&c)
			b.StartTimer()
		}
		if err := l.Append(&c, elem); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListInsertMiddle(b *testing.B) {
	l, r, c := newTestList(b, benchElements).List(), rand.New(rand.NewPCG(1, 2)), Call{}
	elem := intElem(70_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Insert(&c, int64(r.Uint32N(benchElements)), elem); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListPop(b *testing.B) {
	for name, at := range map[string]int64{"first": 0, "last": -1} {
		b.Run(name, func(b *testing.B) {
			l, c := newTestList(b, benchElements).List(), Call{MayBlock: true}
			whole, err := l.View(&Call{})
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, 0, 16)
			for b.Loop() {
				if l.Len() == 0 {
					b.StopTimer()
					_ = l.edit(&c, false, 1, func(r *rope.Rope) { *r = *whole.elements().Thaw() })
					b.StartTimer()
				}
				if _, err := l.Pop(&c, dst, at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkListSlice100(b *testing.B) {
	l, r, c := newTestList(b, benchElements).List(), rand.New(rand.NewPCG(1, 2)), Call{}
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		from := int64(r.Uint32N(benchElements - 100))
		to := from + 100
		if _, _, err := l.Slice(&c, dst, &from, &to, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListCount(b *testing.B) {
	l, c, elem := newTestList(b, benchElements).List(), Call{MayBlock: true}, intElem(70_000)
	for b.Loop() {
		if n, err := l.Count(&c, elem); n != 1 || err != nil {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkListSort sorts 1,000,000 elements.
func BenchmarkListSort(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []struct {
		name string
		elem func(i int) []byte
	}{
		{"ints", func(int) []byte { return msgp.AppendInt64(nil, r.Int64()) }},
		{"floats", func(int) []byte { return msgp.AppendFloat64(nil, r.NormFloat64()) }},
		{"strs", func(int) []byte {
			return appendStrings(nil, "user:"+string('a'+rune(r.IntN(26)))+string(msgp.AppendInt64(nil, r.Int64N(128))))
		}},
		{"sorted ints", func(i int) []byte { return intElem(i) }},
		{"ints and floats", func(i int) []byte {
			if i%2 == 0 {
				return msgp.AppendFloat64(nil, r.NormFloat64())
			}
			return intElem(r.IntN(100))
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			var packed []byte
			for i := range benchElements {
				packed = append(packed, kind.elem(i)...)
			}
			l, c := newTestList(b, 0).List(), Call{MayBlock: true}
			for b.Loop() {
				b.StopTimer()
				if err := l.SetSlice(&c, nil, nil, nil, packed, benchElements); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := l.Sort(&c, nil, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
