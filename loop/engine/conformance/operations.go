package conformance

import (
	"math/big"
	"slices"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
)

// Chance is true once in n calls.
func (g *Operations) Chance(n int) bool { return g.Rand.IntN(n) == 0 }

// Pick returns one of them.
func Pick[T any](g *Operations, from []T) T { return from[g.Rand.IntN(len(from))] }

// Next makes a random operation.
func (g *Operations) Next() Operation {
	switch n := g.Rand.IntN(1000); {
	case n < 30:
		return g.directory()
	case n < 50:
		return g.on(Pick(g, g.Large))
	}
	return g.on(Pick(g, g.Tables))
}

// Begin creates a table with some content.
func (g *Operations) Begin(t *Table) Operation {
	if t.Dict {
		return g.Op(codec.OpCreateDict, t, append(g.Encode(false), g.pairs(t, t.target)...)...)
	}
	return g.Op(codec.OpCreateList, t, append(g.Encode(false), g.many(t.vals, t.target)...)...)
}

// Op makes an operation on a table.
func (g *Operations) Op(op codec.Opcode, t *Table, args ...[]byte) Operation {
	return Operation{op, append(g.Encode(t.Name), args...)}
}

// directory makes an operation on tables as such, mostly on some that come and go.
func (g *Operations) directory() Operation {
	t := &Table{Name: Pick(g, []string{"here", "there", "été", "few", "tiny"})}
	coming := t.Name != "few" && t.Name != "tiny"
	switch g.Rand.IntN(10) {
	case 0, 1:
		flat := g.Encode("a", 1, 2.0, nil, "a", 3)
		return g.Op(codec.OpCreateDict, t, append(g.Encode(g.Chance(2)), flat[:2*g.Rand.IntN(4)]...)...)
	case 2, 3:
		return g.Op(codec.OpCreateList, t, append(g.Encode(g.Chance(2)), g.many(g.anything, g.Rand.IntN(4))...)...)
	case 4:
		return g.Op(codec.OpExists, t)
	case 5:
		return g.Op(codec.OpKind, t)
	case 6:
		return Operation{codec.OpTables, nil}
	case 7:
		if coming {
			return g.Op(codec.OpDrop, t)
		}
		return g.Op(codec.OpExists, t)
	case 8:
		if coming {
			return g.Op(codec.OpRename, t, g.Encode(Pick(g, []string{"here", "there", "été", "few"}))...)
		}
		return g.Op(codec.OpKind, t)
	}
	t.keys, t.vals, t.Dict = g.keys, g.anything, g.Chance(2)
	return g.on(t)
}

func (g *Operations) many(from [][]byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = Pick(g, from)
	}
	return all
}

func (g *Operations) pairs(t *Table, n int) [][]byte {
	all := make([][]byte, 0, 2*n)
	for range n {
		all = append(all, Pick(g, t.keys), Pick(g, t.vals))
	}
	return all
}

// on makes an operation on a table: more of those that add while it is short of its target, more of
// those that take when it is above.
func (g *Operations) on(t *Table) Operation {
	adds := g.Rand.IntN(t.target+1) >= t.Length/2
	large := t.target > 1000
	if large && t.Length < t.target/2 && g.Chance(3) {
		if t.Dict {
			return g.Op(codec.OpDictUpdate, t, g.pairs(t, t.target)...)
		}
		return g.Op(codec.OpListExtend, t, g.many(t.vals, t.target)...)
	}
	var o Operation
	if t.Dict {
		o = g.onDict(t, adds)
	} else {
		o = g.onList(t, adds)
	}
	if large && (o.Op == codec.OpDictClear || o.Op == codec.OpListClear) && !g.Chance(8) {
		return g.on(t)
	}
	return o
}

// What adds to a table, and those of all commands for it of which most depends on the arguments.
var (
	dictAdds = []codec.Opcode{
		codec.OpDictSet,
		codec.OpDictSet,
		codec.OpDictSetDefault,
		codec.OpDictUpdate,
		codec.OpDictIncrement,
	}
	dictOften = []codec.Opcode{codec.OpDictGet, codec.OpDictCompareAndSet}
	listAdds  = []codec.Opcode{
		codec.OpListAppend,
		codec.OpListAppend,
		codec.OpListExtend,
		codec.OpListInsert,
		codec.OpListAppendLeft,
		codec.OpListSetSlice,
	}
	listOften = []codec.Opcode{codec.OpListSlice, codec.OpListSetSlice, codec.OpListSort}
)

// useCommands has random operations made by all commands for tables.
func (g *Operations) useCommands(commands *engine.Commands) {
	g.dictUses = uses(commands, engine.DictTable, dictOften, codec.OpDictClear)
	g.listUses = uses(
		commands,
		engine.ListTable,
		listOften,
		codec.OpListClear,
		codec.OpListAppend,
		codec.OpListAppendLeft,
		codec.OpListExtend,
	)
	for op, command := range commands {
		g.onKey[op] = command.OnKey
	}
}

// notPython are commands that CPython has nothing like: TestExpiry and the tests of queues judge
// them.
var notPython = []codec.Opcode{
	codec.OpConfigure, codec.OpOptions, codec.OpDictTTL, codec.OpDictExpire, codec.OpDictTouch,
	codec.OpDictForget, codec.OpDictHorizon, codec.OpCreateLocks, codec.OpLockGrant, codec.OpLockRelease,
	codec.OpDictGetOrCompute, codec.OpComputed, codec.OpRenewCompute,
	codec.OpListPut, codec.OpListTake, codec.OpListAck, codec.OpListNack, codec.OpListExtendLease,
	codec.OpListReturn, codec.OpListHeld,
}

// uses returns all commands for tables of a kind but some, and those again that are to be made
// often.
func uses(commands *engine.Commands, kind engine.TableKind, often []codec.Opcode, but ...codec.Opcode) []codec.Opcode {
	ops := slices.Clone(often)
	for op, command := range commands {
		if o := codec.Opcode(op); command.Kind == kind && !slices.Contains(but, o) && !slices.Contains(notPython, o) {
			ops = append(ops, o)
		}
	}
	return ops
}

func (g *Operations) key(t *Table) []byte {
	if g.Chance(60) {
		return Pick(g, g.unhashable)
	}
	return Pick(g, t.keys)
}

func (g *Operations) onDict(t *Table, adds bool) Operation {
	op := Pick(g, g.dictUses)
	switch {
	case adds && g.Chance(2):
		op = Pick(g, dictAdds)
	case g.Chance(60 * (1 + t.target/100)):
		op = codec.OpDictClear
	}
	switch op {
	case codec.OpDictUpdate:
		flat := g.pairs(t, g.Rand.IntN(6))
		if len(flat) > 0 && g.Chance(20) {
			flat[g.Rand.IntN(len(flat))/2*2] = Pick(g, g.unhashable)
		}
		return g.Op(op, t, flat...)
	case codec.OpDictGetMany:
		keys := g.many(t.keys, g.Rand.IntN(6))
		return g.Op(op, t, keys...)
	case codec.OpDictDeleteMany:
		keys := g.many(t.keys, g.Rand.IntN(6))
		if len(keys) > 0 && g.Chance(20) {
			keys[g.Rand.IntN(len(keys))] = Pick(g, g.unhashable)
		}
		return g.Op(op, t, keys...)
	case codec.OpDictCompareAndSet:
		return g.Op(op, t, g.key(t), g.orAbsent(t.vals), g.orAbsent(t.vals))
	case codec.OpDictScan:
		return g.Op(op, t, g.Encode(0, 1+g.Rand.IntN(10))...)
	}
	return g.plain(op, t)
}

// plain makes an operation whose arguments are a key, if the command acts on one, and values.
func (g *Operations) plain(op codec.Opcode, t *Table) Operation {
	shape := codec.Shapes[op]
	n := shape.Min
	if shape.Max > shape.Min {
		n += g.Rand.IntN(min(shape.Max-shape.Min, 4) + 1)
	}
	args := g.many(t.vals, n)
	if n > 0 && g.onKey[op] {
		args[0] = g.key(t)
	}
	return g.Op(op, t, args...)
}

func (g *Operations) orAbsent(from [][]byte) []byte {
	if g.Chance(4) {
		return []byte{codec.Absent}
	}
	return Pick(g, from)
}

func (g *Operations) onList(t *Table, adds bool) Operation {
	op := Pick(g, g.listUses)
	switch {
	case adds && g.Chance(2):
		op = Pick(g, listAdds)
	case g.Chance(60 * (1 + t.target/100)):
		op = codec.OpListClear
	case op == codec.OpListSort && t.sorts == nil:
		op = codec.OpListReverse
	}
	switch op {
	case codec.OpListExtend:
		return g.Op(op, t, g.many(t.vals, g.Rand.IntN(6))...)
	case codec.OpListInsert, codec.OpListSet:
		return g.Op(op, t, g.index(t), Pick(g, t.vals))
	case codec.OpListGet, codec.OpListDelete:
		return g.Op(op, t, g.index(t))
	case codec.OpListPop:
		if g.Chance(2) {
			return g.Op(op, t, append([][]byte{g.index(t)}, g.noWait()...)...)
		}
		return g.Op(op, t)
	case codec.OpListPopLeft:
		return g.Op(op, t, g.noWait()...)
	case codec.OpListSlice:
		return g.Op(op, t, g.slice(t)...)
	case codec.OpListDeleteSlice:
		return g.Op(op, t, g.narrow(t)...)
	case codec.OpListSetSlice:
		return g.Op(op, t, slices.Concat(g.narrow(t), g.many(t.vals, g.Rand.IntN(5)))...)
	case codec.OpListIndex:
		args := [][]byte{Pick(g, t.vals)}
		for range g.Rand.IntN(3) {
			args = append(args, g.position(t))
		}
		return g.Op(op, t, args...)
	case codec.OpListSort:
		return g.Op(op, t, Pick(g, t.sorts), g.Encode(g.Chance(2))[0])
	}
	return g.plain(op, t)
}

var (
	hugeInts = []*big.Int{
		new(big.Int).Lsh(big.NewInt(1), 63), new(big.Int).Lsh(big.NewInt(1), 64), new(big.Int).Lsh(big.NewInt(1), 100),
		new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 70)), big.NewInt(1<<63 - 1), big.NewInt(-1 << 63),
	}
	notInts = []any{"a", 1.5, nil, []any{1}, govalue.Tuple{}}
)

// position is an int around the table's indexes, rarely another or a huge one.
func (g *Operations) position(t *Table) []byte {
	switch g.Rand.IntN(60) {
	case 0:
		return g.Encode(Pick(g, hugeInts))[0]
	case 1:
		return g.Encode(g.Chance(2))[0]
	}
	return g.Encode(g.Rand.IntN(2*t.Length+7) - t.Length - 3)[0]
}

// noWait is the argument of a request that waits no time, or none.
func (g *Operations) noWait() [][]byte {
	if g.Chance(2) {
		return g.Encode(0)
	}
	return nil
}

// index is a position or, rarely, something that is no int.
func (g *Operations) index(t *Table) []byte {
	if g.Chance(60) {
		return g.Encode(Pick(g, notInts))[0]
	}
	return g.position(t)
}

// slice makes start, stop and step.
func (g *Operations) slice(t *Table) [][]byte {
	parts := make([][]byte, 3)
	for i := range 2 {
		if parts[i] = g.Encode(nil)[0]; !g.Chance(4) {
			parts[i] = g.index(t)
		}
	}
	steps := []any{
		nil, nil, 1, 1, 2, 3, -1, -1, -2, 0, 7, -t.Length,
		hugeInts[0], hugeInts[3], hugeInts[4], hugeInts[5], true,
	}
	parts[2] = g.Encode(Pick(g, steps))[0]
	return parts
}

// narrow is slice, mostly of a few elements, so that tables keep their lengths.
func (g *Operations) narrow(t *Table) [][]byte {
	if g.Chance(6 + t.target/20) {
		return g.slice(t)
	}
	start := g.Rand.IntN(t.Length + 3)
	stop, step := start+g.Rand.IntN(5), Pick(g, []any{nil, 1, 2, 3})
	if g.Chance(3) {
		start, stop, step = stop, start, Pick(g, []any{-1, -2, -3})
	}
	return g.Encode(start, stop, step)
}

// Roughly makes an operation on the table of this name, or on what may be there instead.
func (g *Operations) Roughly(name string) Operation {
	t := &Table{Name: name, Dict: g.Chance(2), keys: g.keys, vals: g.anything, target: 30, Length: g.Rand.IntN(60)}
	switch n := g.Rand.IntN(100); {
	case n < 6:
		content := g.Rand.IntN(30)
		if g.Chance(6) {
			content = 3000 + g.Rand.IntN(3000)
			t.keys = g.Encode(1, 2.5, "a", nil)
		}
		if t.Dict {
			return g.Op(codec.OpCreateDict, t, append(g.Encode(true), g.pairs(t, content)...)...)
		}
		return g.Op(codec.OpCreateList, t, append(g.Encode(true), g.many(t.vals, content)...)...)
	case n < 8:
		return g.Op(codec.OpDrop, t)
	case n < 10:
		return g.Op(codec.OpRename, t, g.Encode(Pick(g, []string{"a", "b", "x", "y"}))...)
	case n < 12:
		return Operation{codec.OpTables, nil}
	case n < 14 && t.Dict:
		flat := g.pairs(t, 5000)
		for i := 0; i < len(flat); i += 2 {
			flat[i] = g.Encode(g.Rand.IntN(20000))[0]
		}
		return g.Op(codec.OpDictUpdate, t, flat...)
	case n < 15:
		return g.Op(codec.OpListExtend, t, g.many(t.vals, 5000)...)
	case n < 16:
		return g.Op(codec.OpListSort, t, g.Encode([]any{"str", nil})[0], g.Encode(false)[0])
	}
	return g.on(t)
}
