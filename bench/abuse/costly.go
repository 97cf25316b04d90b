package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
)

// Requests of few bytes that cost a server much.

// extension makes an extension object.
func extension(code byte, payload []byte) raw {
	head := append(binary.BigEndian.AppendUint32([]byte{0xc9}, uint32(len(payload))), code)
	return append(head, payload...)
}

func array(elems ...raw) raw {
	return append(binary.BigEndian.AppendUint16([]byte{0xdc}, uint16(len(elems))), slices.Concat(elems...)...)
}

// sequence makes n values.
func sequence(n int, make func(i int) raw) (all []raw) {
	for i := range n {
		all = append(all, make(i))
	}
	return all
}

func decimal(format string, args ...any) raw {
	return extension(value.ExtDecimal, fmt.Appendf(nil, format, args...))
}

// bigInt is an int of n bytes.
func bigInt(n, i int) raw {
	p := binary.BigEndian.AppendUint32(bytes.Repeat([]byte{0x5a}, n-4), uint32(i))
	return extension(value.ExtBigInt, p)
}

func fraction(n, i int) raw { return extension(value.ExtFraction, array(bigInt(n, i), bigInt(n, i+1))) }

func tupleOf(elems ...raw) raw { return extension(value.ExtTuple, array(elems...)) }

func frozenOf(elems ...raw) raw { return extension(value.ExtFrozenSet, array(elems...)) }

// frozenDecimals is a set of n Decimals in sets, depth of them.
func frozenDecimals(n, depth, i int) raw {
	v := frozenOf(sequence(n, func(k int) raw { return decimal("5E-%d", 2400-k-i%7) })...)
	for range depth - 1 {
		v = frozenOf(v)
	}
	return v
}

// costlyTables are the tables of costly requests, by their names; all but "d" are lists.
func costlyTables() map[string][]raw {
	ints := func(n int) []raw { return sequence(n, func(i int) raw { return encoded(i * 7919 % n) }) }
	return map[string][]raw{
		"ints":     ints(4000),
		"long":     ints(200_000),
		"decimals": sequence(1400, func(i int) raw { return decimal("1E+4600") }),
		"big":      sequence(1400, func(i int) raw { return bigInt(180, i) }),
		"texts": sequence(3000, func(i int) raw {
			return encoded(strings.Repeat("É", 30) + fmt.Sprint(i*31%3000))
		}),
		"large": sequence(8, func(i int) raw { return encoded(strings.Repeat("Ab", 1<<19) + fmt.Sprint(i)) }),
		"deep": sequence(
			126,
			func(i int) raw { return append(bytes.Repeat(raw{0x91}, value.MaxDepth-1), byte(i)) },
		),
		"pairs": sequence(4000, func(i int) raw { return array(encoded(i%7), encoded(fmt.Sprint("pair ", i))) }),
		"d": sequence(8000, func(i int) raw {
			if i%2 == 0 {
				return encoded(fmt.Sprint("key ", i/2))
			}
			return encoded(strings.Repeat("v", 200))
		}),
	}
}

// furnishCostly creates the tables of costlyTables.
func (a *attack) furnishCostly() error {
	for name, packed := range costlyTables() {
		op := codec.OpCreateList
		if name == "d" {
			op = codec.OpCreateDict
		}
		if err := a.control.ok(op, name, false, slices.Concat(packed...)); err != nil {
			return fmt.Errorf("table %q: %w", name, err)
		}
	}
	return nil
}

// costlyRequest is a kind of valid request. Its reply may be an error.
type costlyRequest struct {
	op   codec.Opcode
	args func(rng *rand.Rand) []any
}

// costlyNeedles are searches for or among values that are slow to compare.
var costlyNeedles = []costlyRequest{
	{codec.OpListCount, func(rng *rand.Rand) []any { return []any{"decimals", bigInt(1910, rng.IntN(9))} }},
	{codec.OpListCount, func(rng *rand.Rand) []any { return []any{"decimals", decimal("1E+4600")} }},
	{codec.OpListIndex, func(rng *rand.Rand) []any { return []any{"decimals", 1 + rng.IntN(9)} }},
	{codec.OpListCount, func(rng *rand.Rand) []any { return []any{"big", fraction(900, rng.IntN(99))} }},
	{codec.OpListIndex, func(rng *rand.Rand) []any { return []any{"big", decimal("9.%0300dE+%d", rng.IntN(9), 430)} }},
	{codec.OpListRemove, func(rng *rand.Rand) []any { return []any{"ints", decimal("1.5E-%d", 1000+rng.IntN(999))} }},
	{codec.OpListContains, func(rng *rand.Rand) []any { return []any{"pairs", array(encoded(3), encoded("none"))} }},
	{
		codec.OpListCount,
		func(rng *rand.Rand) []any { return []any{"deep", append(bytes.Repeat(raw{0x91}, value.MaxDepth-1), 1)} },
	},
	{codec.OpListCount, func(rng *rand.Rand) []any { return []any{"long", float64(rng.IntN(99))} }},
}

// costlyKeys are requests whose keys are slow to check and to make canonical.
var costlyKeys = []costlyRequest{
	{codec.OpDictGet, func(rng *rand.Rand) []any { return []any{"d", frozenDecimals(190, 15, rng.IntN(99))} }},
	{codec.OpDictGet, func(rng *rand.Rand) []any { return []any{"d", frozenDecimals(3000, 15, rng.IntN(99))} }},
	{codec.OpDictContains, func(rng *rand.Rand) []any {
		return []any{
			"d",
			tupleOf(sequence(300, func(i int) raw { return tupleOf(fraction(100, i), bigInt(200, i)) })...),
		}
	}},
	{
		codec.OpDictSetDefault,
		func(rng *rand.Rand) []any { return []any{"d", frozenDecimals(40, 3, rng.IntN(50)), rng.IntN(9)} },
	},
	{codec.OpDictPop, func(rng *rand.Rand) []any { return []any{"d", frozenDecimals(40, 3, rng.IntN(50)), nil} }},
	{codec.OpDictUpdate, func(rng *rand.Rand) []any {
		args := []any{"d"}
		for i := range 150 {
			args = append(args, frozenDecimals(8, 2, i), tupleOf(encoded(i), encoded(math.NaN())))
		}
		return args
	}},
	{codec.OpDictGetMany, func(rng *rand.Rand) []any {
		args := []any{"d"}
		for i := range 3000 {
			args = append(args, fmt.Sprint("key ", i))
		}
		return args
	}},
	{codec.OpDictGet, func(rng *rand.Rand) []any {
		return []any{"d", tupleOf(sequence(2000, func(i int) raw { return encoded(float64(i) / 3) })...)}
	}},
	{codec.OpDictGet, func(rng *rand.Rand) []any { return []any{"d", strings.Repeat("É'\x01", 16_000)} }},
}

// costlyWork are requests that process large parts of the tables.
var costlyWork = []costlyRequest{
	{codec.OpListSort, func(rng *rand.Rand) []any { return []any{"ints", []any{"neg", nil}, rng.IntN(2) == 0} }},
	{codec.OpListSort, func(rng *rand.Rand) []any { return []any{"texts", []any{"lower", nil}, rng.IntN(2) == 0} }},
	{codec.OpListSort, func(rng *rand.Rand) []any {
		return []any{"pairs", []any{"tuple", []any{"path", 1}, []any{"len", nil}, nil}, rng.IntN(2) == 0}
	}},
	{codec.OpListSort, func(rng *rand.Rand) []any { return []any{"deep", nil, rng.IntN(2) == 0} }},
	{codec.OpListSort, func(rng *rand.Rand) []any { return []any{"large", []any{"lower", nil}, rng.IntN(2) == 0} }},
	{codec.OpListSort, func(rng *rand.Rand) []any { return []any{"decimals", []any{"str", nil}, rng.IntN(2) == 0} }},
	{codec.OpListSort, func(rng *rand.Rand) []any { return []any{"long", nil, rng.IntN(2) == 0} }},
	{codec.OpListReverse, func(rng *rand.Rand) []any { return []any{"ints"} }},
	{codec.OpListSlice, func(rng *rand.Rand) []any { return []any{"long", nil, nil, 3 + rng.IntN(40)} }},
	{codec.OpListSlice, func(rng *rand.Rand) []any { return []any{"pairs", nil, nil, -1} }},
	{codec.OpListSetSlice, func(rng *rand.Rand) []any {
		return append([]any{"long", 0, 20_000, 10}, make([]any, 2000)...)
	}},
	{codec.OpDictKeys, func(rng *rand.Rand) []any { return []any{"d"} }},
	{codec.OpDictItems, func(rng *rand.Rand) []any { return []any{"d"} }},
	{codec.OpDictScan, func(rng *rand.Rand) []any { return []any{"d", 0, 4096} }},
	{codec.OpListAll, func(rng *rand.Rand) []any { return []any{"texts"} }},
	{codec.OpTables, func(rng *rand.Rand) []any { return nil }},
	{codec.OpInfo, func(rng *rand.Rand) []any { return []any{"digest"}[rng.IntN(2):] }},
	{codec.OpDictIncrement, func(rng *rand.Rand) []any { return []any{"d", "sum", fraction(500, rng.IntN(999))} }},
	{
		codec.OpDictIncrement,
		func(rng *rand.Rand) []any { return []any{"d", "total", decimal("1.%0400dE+900", rng.IntN(999))} },
	},
	{
		codec.OpDictSet,
		func(rng *rand.Rand) []any { return []any{"d", "nested", append(bytes.Repeat(raw{0x91}, 127), 1)} },
	},
	{codec.OpDictSet, func(rng *rand.Rand) []any { return []any{"d", "sum", 1} }},
	{codec.OpDictCompareAndSet, func(rng *rand.Rand) []any {
		return []any{"d", "nested", append(bytes.Repeat(raw{0x91}, 127), 1), append(bytes.Repeat(raw{0x91}, 127), 1)}
	}},
	{codec.OpDictGet, func(rng *rand.Rand) []any { return []any{"d", math.NaN(), nil} }},
	{codec.OpCreateDict, func(rng *rand.Rand) []any {
		args := []any{fmt.Sprint("t", rng.IntN(40)), true}
		for i := range 800 {
			args = append(args, i, i)
		}
		return args
	}},
	{
		codec.OpRename,
		func(rng *rand.Rand) []any { return []any{fmt.Sprint("t", rng.IntN(40)), fmt.Sprint("t", rng.IntN(40))} },
	},
	{codec.OpDrop, func(rng *rand.Rand) []any { return []any{fmt.Sprint("t", rng.IntN(40))} }},
}
