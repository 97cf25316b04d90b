package conformance

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/shardmap"
)

const (
	batchOps     = 300 // operations in flight at once
	batchesWhole = 40  // batches between two comparisons of everything
)

// Server executes operations, all in flight at once, in order, and returns their complete replies
// in that order.
type Server func(ops []Operation) []codec.Reply

// check is one comparison of a server with CPython.
type check struct {
	testing.TB
	server Server
	oracle *Oracle
	ops    *Operations
	used   [256]int // how often each opcode was used
	whole  int      // how often all tables were compared
	large  int      // tables above shardmap.InlineElements in these comparisons
}

// Check executes count random operations on dicts and lists of an empty server and of CPython. It
// compares the outcomes and, now and then, all tables.
func Check(t testing.TB, server Server, count int) {
	t.Helper()
	seed := Seed(t)
	oracle := StartOracle(t, seed)
	c := &check{
		TB:     t,
		server: server,
		oracle: oracle,
		ops:    NewOperations(t, rand.New(rand.NewPCG(seed, 1)), oracle.Families),
	}
	tables := slices.Concat(c.ops.Tables, c.ops.Large)
	var ops []Operation
	for _, table := range tables {
		ops = append(ops, c.ops.Begin(table))
	}
	c.compare(ops)
	for done, batch := 0, 1; done < count; batch++ {
		for _, table := range tables {
			table.Length = oracle.Lengths[table.Name]
		}
		done += c.batch()
		if batch%batchesWhole == 0 {
			c.everything(tables)
		}
		if t.Failed() {
			t.Fatalf("after some %d operations", done)
		}
	}
	t.Logf("all compared %d times; %d large tables then", c.whole, c.large)
	if c.large < c.whole {
		t.Error("too few large tables")
	}
	for op, shape := range codec.Shapes {
		if shape.Table && c.used[op] == 0 && !slices.Contains(notPython, codec.Opcode(op)) {
			t.Errorf("no %s among the operations", shape.Name)
		}
	}
}

// batch makes random operations and returns their number.
func (c *check) batch() int {
	ops := make([]Operation, batchOps)
	for i := range ops {
		ops[i] = c.ops.Next()
		c.used[ops[i].Op]++
	}
	c.compare(ops)
	return len(ops)
}

// everything compares all tables, read in each way there is.
func (c *check) everything(tables []*Table) {
	var ops []Operation
	for _, t := range tables {
		if t.Dict {
			ops = append(
				ops,
				c.ops.Op(codec.OpDictKeys, t),
				c.ops.Op(codec.OpDictValues, t),
				c.ops.Op(codec.OpDictItems, t),
				c.ops.Op(codec.OpDictLen, t),
			)
		} else {
			ops = append(
				ops,
				c.ops.Op(codec.OpListAll, t),
				c.ops.Op(codec.OpListLen, t),
				c.ops.Op(codec.OpListSlice, t, c.ops.Encode(nil, nil, -1)...),
			)
		}
	}
	c.compare(ops)
	c.whole++
	for _, t := range tables {
		if t.Dict {
			c.compareScan(t)
		}
		if c.oracle.Lengths[t.Name] > shardmap.InlineElements {
			c.large++
		}
	}
}

// compare makes operations on the server and on the model, and compares the outcomes.
func (c *check) compare(ops []Operation) {
	c.Helper()
	replies := c.server(ops)
	answers := c.oracle.Run(ops)
	for i, o := range ops {
		if err := compareOutcome(c.oracle, o, replies[i], answers[i]); err != nil {
			c.Errorf("%v:\n%v", o, err)
			return
		}
	}
}

// compareScan reads a dict page by page: the pages are its items.
func (c *check) compareScan(t *Table) {
	c.Helper()
	one := func(op codec.Opcode, args ...[]byte) []byte {
		return c.server([]Operation{c.ops.Op(op, t, args...)})[0].Body
	}
	items := one(codec.OpDictItems)
	var pages []byte
	for cursor := any(0); ; {
		page := one(codec.OpDictScan, c.ops.Encode(cursor, 500)...)
		next, n, err := govalue.Decode(page)
		if err != nil {
			c.Fatal(err)
		}
		pages = append(pages, page[n:]...)
		if cursor = next; cursor == int64(0) {
			break
		}
	}
	if !bytes.Equal(pages, items) {
		c.Errorf("%s: the pages of a scan (%d bytes) are not the items (%d bytes)", t.Name, len(pages), len(items))
	}
}
