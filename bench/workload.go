package bench

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Ratio is the mixture of OpMixed and OpHMixed: so many reads to so many writes.
type Ratio struct{ Reads, Writes int }

// ParseRatio reads "9:1". Errors: *UsageError.
func ParseRatio(text string) (Ratio, error) {
	reads, writes, _ := strings.Cut(text, ":")
	r, err := strconv.Atoi(reads)
	w, err2 := strconv.Atoi(writes)
	if err != nil || err2 != nil {
		return Ratio{}, &UsageError{fmt.Sprintf("--ratio %q: give reads to writes, as in 9:1", text)}
	}
	return Ratio{r, w}, nil
}

// String returns the ratio as ParseRatio reads it.
func (r Ratio) String() string { return fmt.Sprintf("%d:%d", r.Reads, r.Writes) }

// stream yields the requests of one connection: items from first to end in steps, or, if it is
// random, drawn without end.
type stream struct {
	op    Op
	items uint64 // random: number of items to draw from
	state uint64 // random: SplitMix64
	zipf  *zipf  // random: nil for even draws
	ratio Ratio  // random, of a mixture
	added bool   // of a queue: the last request was an append, of the item last
	last  uint32

	sequential      bool
	next, step, end uint64
}

// randomStream returns the stream of connection number conn, drawn evenly, reads and writes of a
// mixture in the ratio of nine to one.
func randomStream(op Op, keys int, seed uint64, conn int) stream {
	return stream{op: op, items: uint64(keys), state: mix(seed + uint64(conn)*gamma), ratio: Ratio{9, 1}}
}

// sequentialStream returns the part'th of parts streams that go once through all items together.
func sequentialStream(op Op, entries, part, parts int) stream {
	return stream{op: op, sequential: true, next: uint64(part), step: uint64(parts), end: uint64(entries)}
}

// take returns the next request; ok is false if there are no more.
func (s *stream) take() (op Op, item uint32, ok bool) {
	if s.sequential {
		if s.next >= s.end {
			return 0, 0, false
		}
		item = uint32(s.next)
		s.next += s.step
		return s.op, item, true
	}
	if s.added {
		s.added = false
		return OpPopLeft, s.last, true // from the list that has one more
	}
	if s.zipf != nil {
		item = s.zipf.draw(s.random)
	} else {
		item = s.draw()
	}
	s.last, s.added = item, s.op == OpQueue
	return s.pick(), item, true
}

// pick returns the next request's operation.
func (s *stream) pick() Op {
	switch s.op {
	case OpMixed:
		return s.mixture(OpGet, OpSet)
	case OpHMixed:
		return s.mixture(OpHGet, OpHSet)
	case OpQueue:
		return OpAppend
	default:
		return s.op
	}
}

func (s *stream) mixture(read, write Op) Op {
	if s.random()%uint64(s.ratio.Reads+s.ratio.Writes) < uint64(s.ratio.Writes) {
		return write
	}
	return read
}

func (s *stream) draw() uint32 {
	item, _ := bits.Mul64(s.random(), s.items)
	return uint32(item)
}

// gamma is SplitMix64's increment, 2^64 divided by the golden ratio, made odd; gamma x gammaInverse
// is 1 in 64 bits.
const (
	gamma        = 0x9e3779b97f4a7c15
	gammaInverse = 0xf1de83e19937733d
)

func (s *stream) random() uint64 {
	s.state += gamma
	return mix(s.state)
}

// mix is SplitMix64's output function (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
