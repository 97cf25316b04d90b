package conformance

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
)

// Table is a table that random operations work on, and what they put into it.
type Table struct {
	Name   string
	Dict   bool
	keys   [][]byte // of a dict
	vals   [][]byte
	sorts  [][]byte // sort keys; nil: never sorted, since the outcome would depend on the algorithm
	target int      // length that the table is kept near
	Length int      // after the last batch
}

// Operations makes random operations.
type Operations struct {
	testing.TB
	Rand       *rand.Rand
	Tables     []*Table
	Large      []*Table // above shardmap.InlineElements
	unhashable [][]byte
	keys       [][]byte
	anything   [][]byte
	dictUses   []codec.Opcode
	listUses   []codec.Opcode
	onKey      [256]bool
}

// NewOperations returns Operations on values of these families: Oracle.Families.
func NewOperations(t testing.TB, rng *rand.Rand, families map[string][][]byte) *Operations {
	g := &Operations{
		TB:         t,
		Rand:       rng,
		unhashable: families["unhashable"],
		keys:       families["key"],
		anything:   families["any"],
	}
	g.useCommands(engine.Protocol())
	numbers := g.ints(0, 9000)
	names := g.Encode("a", "b", "c", 1, true, 2.5, nil)
	few := g.Encode(0, 1, 1.0, true, nil, "a", "", []any{})
	basic, records, rows := g.sortKeys()
	dict := func(name string, keys, vals [][]byte, target int) *Table {
		return &Table{Name: name, Dict: true, keys: keys, vals: vals, target: target}
	}
	list := func(name string, vals, sorts [][]byte, target int) *Table {
		return &Table{Name: name, vals: vals, sorts: sorts, target: target}
	}
	g.Tables = []*Table{
		dict("keys", g.keys, g.anything, 120),
		dict("few", names, few, 4),
		dict("counters", append(names, g.keys[:20]...), families["number"], 15),
		dict(
			"equal keys",
			g.Encode(0, 0.0, false, 1, 1.0, true, govalue.Decimal("1.0"), complex(1, 0), big.NewRat(1, 1), 2, 2.0),
			few,
			3,
		),
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
	g.Large = []*Table{
		dict("large dict", append(g.ints(0, 9000), g.keys...), families["sort int"], 6000),
		list("large int", numbers, basic, 5500),
		list("large row", families["sort row"], rows, 4500),
		list("large any", g.anything, nil, 4300),
	}
	return g
}

// sortKeys returns the keys to sort lists by: of any elements, of records, and of rows.
func (g *Operations) sortKeys() (basic, records, rows [][]byte) {
	path := func(parts ...any) []any { return append([]any{"path"}, parts...) }
	sorts := func(keys ...any) [][]byte {
		return append(g.Encode(keys...), g.Encode([]any{"len"}, []any{"nope", nil}, 5)...)
	}
	basic = sorts(nil, nil, []any{"neg", nil}, []any{"str", nil}, []any{"len", nil}, []any{"lower", nil}, path(0))
	records = sorts(
		path("n"),
		path("name"),
		path("deep", 0),
		path("deep", 1, "x"),
		[]any{"neg", path("n")},
		[]any{"tuple", path("n"), path("name")},
		[]any{"lower", path("name")},
		[]any{"len", path("name")},
		[]any{"str", path("deep")},
		path("absent"),
		nil,
	)
	rows = sorts(
		nil,
		path(0),
		path(-1),
		[]any{"tuple", []any{"neg", path(0)}, path(1)},
		[]any{"lower", path(1)},
		path(7),
		path("x"),
		path(1, 0),
	)
	return basic, records, rows
}

// Encode returns the encoding of each value.
func (g *Operations) Encode(vals ...any) [][]byte {
	g.Helper()
	all := make([][]byte, len(vals))
	for i, v := range vals {
		var err error
		if all[i], err = govalue.Append(nil, v); err != nil {
			g.Fatal(err)
		}
	}
	return all
}

func (g *Operations) ints(from, to int) (all [][]byte) {
	for i := from; i < to; i++ {
		all = append(all, g.Encode(i)...)
	}
	return all
}
