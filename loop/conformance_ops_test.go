package loop

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// conformanceTable is a table that random operations work on, and what they put into it.
type conformanceTable struct {
	name   string
	dict   bool
	keys   [][]byte // of a dict
	vals   [][]byte
	sorts  [][]byte // sort keys; nil: never sorted, since the outcome would depend on the algorithm
	target int      // length that the table is kept near
	length int      // after the last batch
}

// operations makes random operations.
type operations struct {
	testing.TB
	rng        *rand.Rand
	tables     []*conformanceTable
	large      []*conformanceTable // above shardmap.InlineElements
	unhashable [][]byte
	keys       [][]byte
	anything   [][]byte
}

func newOperations(t testing.TB, rng *rand.Rand, families map[string][][]byte) *operations {
	g := &operations{TB: t, rng: rng, unhashable: families["unhashable"], keys: families["key"], anything: families["any"]}
	numbers := g.ints(0, 9000)
	names := g.encode("a", "b", "c", 1, true, 2.5, nil)
	few := g.encode(0, 1, 1.0, true, nil, "a", "", []any{})
	path := func(parts ...any) []any { return append([]any{"path"}, parts...) }
	sorts := func(keys ...any) [][]byte {
		return append(g.encode(keys...), g.encode([]any{"len"}, []any{"nope", nil}, 5)...)
	}
	basic := sorts(nil, nil, []any{"neg", nil}, []any{"str", nil}, []any{"len", nil}, []any{"lower", nil}, path(0))
	records := sorts(path("n"), path("name"), path("deep", 0), path("deep", 1, "x"), []any{"neg", path("n")}, []any{"tuple", path("n"), path("name")},
		[]any{"lower", path("name")}, []any{"len", path("name")}, []any{"str", path("deep")}, path("absent"), nil)
	rows := sorts(nil, path(0), path(-1), []any{"tuple", []any{"neg", path(0)}, path(1)}, []any{"lower", path(1)}, path(7), path("x"), path(1, 0))

	dict := func(name string, keys, vals [][]byte, target int) *conformanceTable {
		return &conformanceTable{name: name, dict: true, keys: keys, vals: vals, target: target}
	}
	list := func(name string, vals, sorts [][]byte, target int) *conformanceTable {
		return &conformanceTable{name: name, vals: vals, sorts: sorts, target: target}
	}
	g.tables = []*conformanceTable{
		dict("keys", g.keys, g.anything, 120),
		dict("few", names, few, 4),
		dict("counters", append(names, g.keys[:20]...), families["number"], 15),
		dict("equal keys", g.encode(0, 0.0, false, 1, 1.0, true, govalue.Decimal("1.0"), complex(1, 0), big.NewRat(1, 1), 2, 2.0), few, 3),
		list("anything", g.anything, nil, 60),
		list("tiny", g.anything, nil, 3),
		list("few values", few, basic, 12),
		list("int", families["sort int"], basic, 200),
		list("number", families["sort number"], basic, 40),
		list("fraction", families["sort fraction"], basic, 40),
		list("str", families["sort str"], basic, 70),
		list("bytes", families["sort bytes"], basic, 20),
		list("record", families["sort record"], records, 50),
		list("row", families["sort row"], rows, 50),
		list("list", families["sort list"], rows, 50),
		list("time", families["sort time"], basic, 30),
		list("mixed", families["sort mixed"], basic, 8),
	}
	g.large = []*conformanceTable{
		dict("large dict", append(g.ints(0, 9000), g.keys...), families["sort int"], 6000),
		list("large int", numbers, basic, 5500),
		list("large row", families["sort row"], rows, 4500),
		list("large any", g.anything, nil, 4300),
	}
	return g
}

func (g *operations) encode(vals ...any) [][]byte {
	g.Helper()
	all := make([][]byte, len(vals))
	for i, v := range vals {
		all[i] = encodeArgs(g, v)
	}
	return all
}

func (g *operations) ints(from, to int) (all [][]byte) {
	for i := from; i < to; i++ {
		all = append(all, g.encode(i)...)
	}
	return all
}

// chance is true once in n calls.
func (g *operations) chance(n int) bool { return g.rng.IntN(n) == 0 }

func pick[T any](g *operations, from []T) T { return from[g.rng.IntN(len(from))] }

// next makes a random operation.
func (g *operations) next() operation {
	switch n := g.rng.IntN(1000); {
	case n < 30:
		return g.directory()
	case n < 50:
		return g.on(pick(g, g.large))
	}
	return g.on(pick(g, g.tables))
}

// begin creates a table with some content.
func (g *operations) begin(t *conformanceTable) operation {
	if t.dict {
		return g.op(codec.OpCreateDict, t, append(g.encode(false), g.pairs(t, t.target)...)...)
	}
	return g.op(codec.OpCreateList, t, append(g.encode(false), g.many(t.vals, t.target)...)...)
}

func (g *operations) op(op codec.Opcode, t *conformanceTable, args ...[]byte) operation {
	return operation{op, append(g.encode(t.name), args...)}
}

// directory makes an operation on tables as such, mostly on some that come and go.
func (g *operations) directory() operation {
	t := &conformanceTable{name: pick(g, []string{"here", "there", "été", "few", "tiny"})}
	coming := t.name != "few" && t.name != "tiny"
	switch g.rng.IntN(10) {
	case 0, 1:
		flat := g.encode("a", 1, 2.0, nil, "a", 3)
		return g.op(codec.OpCreateDict, t, append(g.encode(g.chance(2)), flat[:2*g.rng.IntN(4)]...)...)
	case 2, 3:
		return g.op(codec.OpCreateList, t, append(g.encode(g.chance(2)), g.many(g.anything, g.rng.IntN(4))...)...)
	case 4:
		return g.op(codec.OpExists, t)
	case 5:
		return g.op(codec.OpKind, t)
	case 6:
		return operation{codec.OpTables, nil}
	case 7:
		if coming {
			return g.op(codec.OpDrop, t)
		}
		return g.op(codec.OpExists, t)
	case 8:
		if coming {
			return g.op(codec.OpRename, t, g.encode(pick(g, []string{"here", "there", "été", "few"}))...)
		}
		return g.op(codec.OpKind, t)
	}
	t.keys, t.vals, t.dict = g.keys, g.anything, g.chance(2)
	return g.on(t)
}

func (g *operations) many(from [][]byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = pick(g, from)
	}
	return all
}

func (g *operations) pairs(t *conformanceTable, n int) [][]byte {
	all := make([][]byte, 0, 2*n)
	for range n {
		all = append(all, pick(g, t.keys), pick(g, t.vals))
	}
	return all
}

// on makes an operation on a table: more of those that add while it is short of its target, more of those that take when it is above.
func (g *operations) on(t *conformanceTable) operation {
	adds := g.rng.IntN(t.target+1) >= t.length/2
	large := t.target > 1000
	if large && t.length < t.target/2 && g.chance(3) {
		if t.dict {
			return g.op(codec.OpDictUpdate, t, g.pairs(t, t.target)...)
		}
		return g.op(codec.OpListExtend, t, g.many(t.vals, t.target)...)
	}
	var o operation
	if t.dict {
		o = g.onDict(t, adds)
	} else {
		o = g.onList(t, adds)
	}
	if large && (o.op == codec.OpDictClear || o.op == codec.OpListClear) && !g.chance(8) {
		return g.on(t)
	}
	return o
}

var (
	dictAdds = []codec.Opcode{codec.OpDictSet, codec.OpDictSet, codec.OpDictSetDefault, codec.OpDictUpdate, codec.OpDictIncrement}
	dictUses = []codec.Opcode{
		codec.OpDictGet, codec.OpDictGet, codec.OpDictSet, codec.OpDictContains, codec.OpDictLen, codec.OpDictSetDefault, codec.OpDictUpdate, codec.OpDictDelete,
		codec.OpDictPop, codec.OpDictPopItem, codec.OpDictKeys, codec.OpDictValues, codec.OpDictItems, codec.OpDictGetMany, codec.OpDictIncrement, codec.OpDictCompareAndSet,
		codec.OpDictCompareAndSet, codec.OpDictScan,
	}
	listAdds = []codec.Opcode{codec.OpListAppend, codec.OpListAppend, codec.OpListExtend, codec.OpListInsert, codec.OpListAppendLeft, codec.OpListSetSlice}
	listUses = []codec.Opcode{
		codec.OpListGet, codec.OpListSet, codec.OpListDelete, codec.OpListSlice, codec.OpListSlice, codec.OpListSetSlice, codec.OpListSetSlice, codec.OpListDeleteSlice,
		codec.OpListPop, codec.OpListRemove, codec.OpListCount, codec.OpListIndex, codec.OpListReverse, codec.OpListSort, codec.OpListSort, codec.OpListLen,
		codec.OpListContains, codec.OpListAll, codec.OpListInsert, codec.OpListPopLeft,
	}
)

func (g *operations) key(t *conformanceTable) []byte {
	if g.chance(60) {
		return pick(g, g.unhashable)
	}
	return pick(g, t.keys)
}

func (g *operations) onDict(t *conformanceTable, adds bool) operation {
	op := pick(g, dictUses)
	switch {
	case adds && g.chance(2):
		op = pick(g, dictAdds)
	case g.chance(60 * (1 + t.target/100)):
		op = codec.OpDictClear
	}
	switch op {
	case codec.OpDictGet, codec.OpDictPop:
		if g.chance(2) {
			return g.op(op, t, g.key(t), pick(g, t.vals))
		}
		return g.op(op, t, g.key(t))
	case codec.OpDictSet, codec.OpDictSetDefault, codec.OpDictIncrement:
		return g.op(op, t, g.key(t), pick(g, t.vals))
	case codec.OpDictDelete, codec.OpDictContains:
		return g.op(op, t, g.key(t))
	case codec.OpDictUpdate:
		flat := g.pairs(t, g.rng.IntN(6))
		if len(flat) > 0 && g.chance(20) {
			flat[g.rng.IntN(len(flat))/2*2] = pick(g, g.unhashable)
		}
		return g.op(op, t, flat...)
	case codec.OpDictGetMany:
		keys := g.many(t.keys, g.rng.IntN(6))
		return g.op(op, t, keys...)
	case codec.OpDictCompareAndSet:
		return g.op(op, t, g.key(t), g.orAbsent(t.vals), g.orAbsent(t.vals))
	case codec.OpDictScan:
		return g.op(op, t, g.encode(0, 1+g.rng.IntN(10))...)
	}
	return g.op(op, t)
}

func (g *operations) orAbsent(from [][]byte) []byte {
	if g.chance(4) {
		return []byte{codec.Absent}
	}
	return pick(g, from)
}

func (g *operations) onList(t *conformanceTable, adds bool) operation {
	op := pick(g, listUses)
	switch {
	case adds && g.chance(2):
		op = pick(g, listAdds)
	case g.chance(60 * (1 + t.target/100)):
		op = codec.OpListClear
	case op == codec.OpListSort && t.sorts == nil:
		op = codec.OpListReverse
	}
	switch op {
	case codec.OpListAppend, codec.OpListAppendLeft, codec.OpListRemove, codec.OpListCount, codec.OpListContains:
		return g.op(op, t, pick(g, t.vals))
	case codec.OpListExtend:
		return g.op(op, t, g.many(t.vals, g.rng.IntN(6))...)
	case codec.OpListInsert, codec.OpListSet:
		return g.op(op, t, g.index(t), pick(g, t.vals))
	case codec.OpListGet, codec.OpListDelete:
		return g.op(op, t, g.index(t))
	case codec.OpListPop:
		if g.chance(2) {
			return g.op(op, t, g.index(t))
		}
	case codec.OpListSlice:
		return g.op(op, t, g.slice(t)...)
	case codec.OpListDeleteSlice:
		return g.op(op, t, g.narrow(t)...)
	case codec.OpListSetSlice:
		return g.op(op, t, slices.Concat(g.narrow(t), g.many(t.vals, g.rng.IntN(5)))...)
	case codec.OpListIndex:
		args := [][]byte{pick(g, t.vals)}
		for range g.rng.IntN(3) {
			args = append(args, g.position(t))
		}
		return g.op(op, t, args...)
	case codec.OpListSort:
		return g.op(op, t, pick(g, t.sorts), g.encode(g.chance(2))[0])
	}
	return g.op(op, t)
}

var (
	hugeInts = []*big.Int{
		new(big.Int).Lsh(big.NewInt(1), 63), new(big.Int).Lsh(big.NewInt(1), 64), new(big.Int).Lsh(big.NewInt(1), 100),
		new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 70)), big.NewInt(1<<63 - 1), big.NewInt(-1 << 63),
	}
	notInts = []any{"a", 1.5, nil, []any{1}, govalue.Tuple{}}
)

// position is an int around the table's indexes, rarely another or a huge one.
func (g *operations) position(t *conformanceTable) []byte {
	switch g.rng.IntN(60) {
	case 0:
		return g.encode(pick(g, hugeInts))[0]
	case 1:
		return g.encode(g.chance(2))[0]
	}
	return g.encode(g.rng.IntN(2*t.length+7) - t.length - 3)[0]
}

// index is a position or, rarely, something that is no int.
func (g *operations) index(t *conformanceTable) []byte {
	if g.chance(60) {
		return g.encode(pick(g, notInts))[0]
	}
	return g.position(t)
}

// slice makes start, stop and step.
func (g *operations) slice(t *conformanceTable) [][]byte {
	parts := make([][]byte, 3)
	for i := range 2 {
		if parts[i] = g.encode(nil)[0]; !g.chance(4) {
			parts[i] = g.index(t)
		}
	}
	parts[2] = g.encode(pick(g, []any{nil, nil, 1, 1, 2, 3, -1, -1, -2, 0, 7, -t.length, hugeInts[0], hugeInts[3], hugeInts[4], hugeInts[5], true}))[0]
	return parts
}

// narrow is slice, mostly of a few elements, so that tables keep their lengths.
func (g *operations) narrow(t *conformanceTable) [][]byte {
	if g.chance(6 + t.target/20) {
		return g.slice(t)
	}
	start := g.rng.IntN(t.length + 3)
	stop, step := start+g.rng.IntN(5), pick(g, []any{nil, 1, 2, 3})
	if g.chance(3) {
		start, stop, step = stop, start, pick(g, []any{-1, -2, -3})
	}
	return g.encode(start, stop, step)
}
