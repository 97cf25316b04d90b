package bench

import (
	"fmt"
	"math/bits"
	"strings"
)

// Op is what a run does.
type Op uint8

// Operations. OpMixed is nine GET to one SET, drawn for each request.
const (
	OpGet    Op = iota // value of a random key of the dict
	OpSet              // overwrite a random key of the dict
	OpAppend           // append to the list
	OpIndex            // element at a random index of the list
	OpMixed

	opCount
)

var opNames = [opCount]string{OpGet: "get", OpSet: "set", OpAppend: "append", OpIndex: "index", OpMixed: "mixed"}

// mixedSetsOneIn is OpMixed's share of SET.
const mixedSetsOneIn = 10

// ParseOp returns the operation of that name. Errors: *UsageError.
func ParseOp(name string) (Op, error) {
	for op, known := range opNames {
		if name == known {
			return Op(op), nil
		}
	}
	return 0, &UsageError{fmt.Sprintf("--op %q is unknown: give one of %s", name, strings.Join(opNames[:], ", "))}
}

// String returns the operation's name.
func (op Op) String() string { return opNames[op] }

// usesList says whether the operation works on a list; the others work on a dict.
func (op Op) usesList() bool { return op == OpAppend || op == OpIndex }

// loadOp is the operation that fills the table before a run of op; entries is how many times.
func (op Op) loadOp(keys int) (load Op, entries int) {
	switch op {
	case OpAppend:
		return OpAppend, 0
	case OpIndex:
		return OpAppend, keys
	default:
		return OpSet, keys
	}
}

// stream yields the requests of one connection: items from first to end in steps, or, if it is random, drawn evenly without end.
type stream struct {
	op    Op
	items uint64 // random: number of items to draw from
	state uint64 // random: SplitMix64

	sequential      bool
	next, step, end uint64
}

// randomStream returns the stream of connection number conn.
func randomStream(op Op, keys int, seed uint64, conn int) stream {
	return stream{op: op, items: uint64(keys), state: mix(seed + uint64(conn)*gamma)}
}

// sequentialStream returns the part'th of parts streams that go once through all items together.
func sequentialStream(op Op, entries, part, parts int) stream {
	return stream{op: op, sequential: true, next: uint64(part), step: uint64(parts), end: uint64(entries)}
}

// take returns the next request; ok is false when there are no more.
func (s *stream) take() (op Op, item uint32, ok bool) {
	if s.sequential {
		if s.next >= s.end {
			return 0, 0, false
		}
		item = uint32(s.next)
		s.next += s.step
		return s.op, item, true
	}
	op, item = s.op, s.draw()
	if op == OpMixed {
		op = OpGet
		if s.random()%mixedSetsOneIn == 0 {
			op = OpSet
		}
	}
	return op, item, true
}

func (s *stream) draw() uint32 {
	item, _ := bits.Mul64(s.random(), s.items)
	return uint32(item)
}

// gamma is SplitMix64's increment, 2^64 divided by the golden ratio, made odd.
const gamma = 0x9e3779b97f4a7c15

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
