package rope

import (
	"math/rand/v2"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// million returns a rope of 1,000,000 small ints.
func million() *Rope {
	var rope Rope
	buf := make([]byte, 0, 16)
	for i := range 1_000_000 {
		rope.Append(msgp.AppendInt(buf, i))
	}
	return &rope
}

func BenchmarkGet(b *testing.B) {
	rope, r := million(), rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		rope.Get(int(r.Uint32N(1_000_000)))
	}
}

func BenchmarkSet(b *testing.B) {
	rope, r := million(), rand.New(rand.NewPCG(1, 2))
	elem := msgp.AppendInt(nil, 70_000)
	b.ReportAllocs()
	for b.Loop() {
		rope.Set(int(r.Uint32N(1_000_000)), elem)
	}
}

func BenchmarkAppend(b *testing.B) {
	var rope Rope
	elem := msgp.AppendInt(nil, 70_000)
	b.ReportAllocs()
	for b.Loop() {
		if rope.Len() == 5_000_000 {
			rope.Clear()
		}
		rope.Append(elem)
	}
}

func BenchmarkPrepend(b *testing.B) {
	var rope Rope
	elem := msgp.AppendInt(nil, 70_000)
	b.ReportAllocs()
	for b.Loop() {
		if rope.Len() == 5_000_000 {
			rope.Clear()
		}
		rope.Prepend(elem)
	}
}

func BenchmarkInsertMiddle(b *testing.B) {
	rope, r := million(), rand.New(rand.NewPCG(1, 2))
	elem := msgp.AppendInt(nil, 70_000)
	b.ReportAllocs()
	for b.Loop() {
		rope.Insert(int(r.Uint32N(1_000_000)), elem)
	}
}

func BenchmarkDeleteRandom(b *testing.B) {
	rope, r := million(), rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		if rope.Len() < 500_000 {
			b.StopTimer()
			rope = million()
			b.StartTimer()
		}
		rope.Delete(int(r.Uint32N(500_000)))
	}
}

func BenchmarkPopFront(b *testing.B) {
	rope := million()
	for b.Loop() {
		if rope.Len() == 0 {
			b.StopTimer()
			rope = million()
			b.StartTimer()
		}
		rope.Delete(0)
	}
}

func BenchmarkPopBack(b *testing.B) {
	rope := million()
	for b.Loop() {
		if rope.Len() == 0 {
			b.StopTimer()
			rope = million()
			b.StartTimer()
		}
		rope.Delete(rope.Len() - 1)
	}
}

func BenchmarkReplaceTenThousand(b *testing.B) {
	rope := million()
	packed := rope.AppendRange(nil, 0, 10_000)
	for b.Loop() {
		rope.DeleteRange(500_000, 510_000)
		rope.InsertPacked(500_000, packed, 10_000)
	}
}
