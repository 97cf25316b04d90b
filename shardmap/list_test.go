package shardmap

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// newTestList returns a list of n elements: 0, 1, 2 ...
func newTestList(t testing.TB, n int) *Table {
	t.Helper()
	var packed []byte
	for i := range n {
		packed = msgp.AppendInt(packed, i)
	}
	table, err := NewStore().Create(&Call{MayBlock: true}, "list", KindList, packed, n)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func pointer(i int64) *int64 { return &i }

func intElem(n int) []byte { return msgp.AppendInt(nil, n) }

// writes are operations that change a list of some elements.
func writes() []listOp {
	one := [][]byte{intElem(1)}
	return []listOp{
		{Op: "append", Vals: one},
		{Op: "insert", Vals: one},
		{Op: "extend", Vals: one},
		{Op: "set", Vals: one},
		{Op: "delete"},
		{Op: "pop"},
		{Op: "remove", Vals: [][]byte{intElem(5)}},
		{Op: "set slice", Vals: one},
		{Op: "delete slice", Stop: pointer(1)},
		{Op: "reverse"},
		{Op: "sort", Reverse: true},
		{Op: "clear"},
	}
}

func TestLongListCalls(t *testing.T) {
	const n = 3 * InlineElements
	far, absent, near := [][]byte{intElem(n - 1)}, [][]byte{intElem(-1)}, [][]byte{intElem(InlineElements - 1)}
	many := slices.Repeat(near, InlineElements+1)
	cases := []struct {
		name string
		op   listOp
		long bool
	}{
		{"sort", listOp{Op: "sort"}, true},
		{"reverse", listOp{Op: "reverse"}, true},
		{"count", listOp{Op: "count", Vals: near}, true},
		{"contains near", listOp{Op: "contains", Vals: near}, false},
		{"contains far", listOp{Op: "contains", Vals: far}, true},
		{"contains absent", listOp{Op: "contains", Vals: absent}, true},
		{"index near", listOp{Op: "index", Vals: near}, false},
		{"index far", listOp{Op: "index", Vals: far}, true},
		{"index far from near", listOp{Op: "index", Vals: far, Start: pointer(-10)}, false},
		{"index in a short range", listOp{Op: "index", Vals: absent, Start: pointer(10), Stop: pointer(100)}, false},
		{"remove near", listOp{Op: "remove", Vals: near}, false},
		{"remove far", listOp{Op: "remove", Vals: far}, true},
		{"remove absent", listOp{Op: "remove", Vals: absent}, true},
		{"slice short", listOp{Op: "slice", Stop: pointer(InlineElements)}, false},
		{"slice long", listOp{Op: "slice", Stop: pointer(InlineElements + 1)}, true},
		{"slice strided short", listOp{Op: "slice", Step: pointer(3)}, false},
		{"slice strided long", listOp{Op: "slice", Step: pointer(-2)}, true},
		{"extend", listOp{Op: "extend", Vals: many}, true},
		{"set slice", listOp{Op: "set slice", Vals: many}, true},
		{"set slice of another size", listOp{Op: "set slice", Step: pointer(2), Vals: many}, true},
		{"set slice with few", listOp{Op: "set slice", Vals: near}, false},
		{"delete slice", listOp{Op: "delete slice"}, false},
		{"delete slice backwards", listOp{Op: "delete slice", Step: pointer(-1)}, false},
		{"delete slice strided short", listOp{Op: "delete slice", Step: pointer(3)}, false},
		{"delete slice strided long", listOp{Op: "delete slice", Step: pointer(2)}, true},
		{"delete slice with wide steps", listOp{Op: "delete slice", Step: pointer(-100)}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkLong(t, newTestList(t, n), c.op, c.long) })
	}
}

// checkLong runs the operation inline, which must answer ErrLong and do nothing if it is long, then
// in the background, and compares it with the model.
func checkLong(t *testing.T, table *Table, op listOp, long bool) {
	t.Helper()
	l, s := table.List(), table.store
	m := listModel{elems: elements(t, l)}
	n := len(m.elems)
	want := m.run(op)
	before := s.Clock()
	var call Call
	got := op.run(l, &call)
	if (got.err == ErrLong.Error()) != long {
		t.Fatalf("inline: error %q, %d elements, %d bytes", got.err, got.n, len(got.out))
	}
	if long {
		if s.Clock() != before || l.Len() != n {
			t.Fatal("a call that answered ErrLong did something")
		}
		call.MayBlock = true
		got = op.run(l, &call)
	}
	if got.err != want.err || !bytes.Equal(got.out, want.out) || got.n != want.n {
		t.Fatalf(
			"got %q %d, want %q %d; same bytes: %v",
			got.err,
			got.n,
			want.err,
			want.n,
			bytes.Equal(got.out, want.out),
		)
	}
	if assigned := s.Clock() - before; assigned != uint64(m.numbers) {
		t.Fatalf("assigned %d LSNs, want %d", assigned, m.numbers)
	}
	if !slices.EqualFunc(elements(t, l), m.elems, bytes.Equal) {
		t.Fatal("contents differ")
	}
	if table.WhenUnlocked(func() {}) {
		t.Fatal("the table is locked")
	}
}

// TestSliceOfLargeElements wants some megabytes at once.
func TestSliceOfLargeElements(t *testing.T) {
	elem := msgp.AppendBytes(nil, make([]byte, InlineBytes/3))
	table, err := NewStore().Create(&Call{}, "list", KindList, bytes.Repeat(elem, 4), 4)
	if err != nil {
		t.Fatal(err)
	}
	l, call := table.List(), Call{}
	for stop, want := range []error{nil, nil, nil, ErrLong, ErrLong} {
		if _, _, err := l.Slice(&call, nil, nil, pointer(int64(stop)), nil); !errors.Is(err, want) {
			t.Errorf("[:%d]: %v, want %v", stop, err, want)
		}
	}
	call.MayBlock = true
	if got, n, err := l.AppendAll(&call, nil); n != 4 || len(got) != 4*len(elem) || err != nil {
		t.Errorf("background: %d elements, %d bytes, %v", n, len(got), err)
	}
}

// TestListLock holds the lock of a list, as a long write does: writes wait, reads continue.
func TestListLock(t *testing.T) {
	table := newTestList(t, 10)
	l, before := table.List(), table.store.Clock()
	hold := table.lock.acquire()
	var call Call
	for _, op := range writes() {
		if got := op.run(l, &call); got.err != ErrBusy.Error() {
			t.Errorf("%s: %+v", op.Op, got)
		}
	}
	if err := table.store.Drop(&Call{}, "list"); !errors.Is(err, ErrBusy) {
		t.Errorf("drop: %v", err)
	}
	if all, n, err := l.AppendAll(&call, nil); n != 10 || err != nil {
		t.Errorf("read while gated: %v %v", all, err)
	}
	if table.store.Clock() != before {
		t.Error("a call that answered ErrBusy took an LSN")
	}
	woken := false
	if !table.WhenUnlocked(func() { woken = true }) {
		t.Error("the table is not locked")
	}
	table.lock.release(hold)
	if !woken {
		t.Error("no waiter was woken")
	}
	if err := l.Append(&call, intElem(7)); err != nil {
		t.Error(err)
	}
}

func TestDroppedList(t *testing.T) {
	table := newTestList(t, 10)
	if err := table.store.Drop(&Call{}, "list"); err != nil {
		t.Fatal(err)
	}
	before := table.store.Clock()
	ops := append(
		writes(),
		listOp{Op: "get"},
		listOp{Op: "slice"},
		listOp{Op: "contains", Vals: [][]byte{intElem(1)}},
		listOp{
			Op:   "count",
			Vals: [][]byte{intElem(1)},
		},
		listOp{Op: "extend"},
		listOp{Op: "extend", Vals: slices.Repeat([][]byte{{1}}, InlineElements+1)},
	)
	for _, op := range ops {
		if got := op.run(table.List(), &Call{MayBlock: true}); got.err != ErrNoTable.Error() {
			t.Errorf("%s: %+v", op.Op, got)
		}
	}
	if table.store.Clock() != before {
		t.Error("a call on a dropped list took an LSN")
	}
}

// TestNeedle compares encodings that are not the shortest, and numbers of every width.
func TestNeedle(t *testing.T) {
	forms := [][][]byte{
		{
			{5},
			{0xcc, 5},
			{0xcd, 0, 5},
			{0xce, 0, 0, 0, 5},
			{0xcf, 0, 0, 0, 0, 0, 0, 0, 5},
			{0xd0, 5},
			{0xd1, 0, 5},
			{0xd2, 0, 0, 0, 5},
			{0xd3, 0, 0, 0, 0, 0, 0, 0, 5},
		},
		{
			{0xfb},
			{0xd0, 0xfb},
			{0xd1, 0xff, 0xfb},
			{0xd2, 0xff, 0xff, 0xff, 0xfb},
			{0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb},
		},
		{{0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb}},
		{{0xa1, 'x'}, {0xd9, 1, 'x'}, {0xda, 0, 1, 'x'}, {0xdb, 0, 0, 0, 1, 'x'}},
		{{0xc4, 1, 'x'}, {0xc5, 0, 1, 'x'}, {0xc6, 0, 0, 0, 1, 'x'}, {0xd4, 5, 'x'}},
		{{1}, {0xc3}, msgp.AppendFloat64(nil, 1), {0xca, 0x3f, 0x80, 0, 0}},
		{{0xc0}},
		{{0x91, 1}, {0x91, 0xc3}},
	}
	for i, same := range forms {
		for _, val := range same {
			n := newNeedle(val)
			for j, others := range forms {
				for _, elem := range others {
					if n.matches(elem) != (i == j) {
						t.Errorf("%x == %x: %v", elem, val, i != j)
					}
				}
			}
		}
	}
}

func TestListAllocations(t *testing.T) {
	table := newTestList(t, 100_000)
	l, elem, dst, call := table.List(), intElem(70_000), make([]byte, 0, 64), Call{}
	for name, c := range map[string]struct {
		most float64
		f    func(i int64) error
	}{
		"get":             {0, func(i int64) error { _, err := l.Get(&call, dst, i); return err }},
		"set":             {0, func(i int64) error { return l.Set(&call, i, elem) }},
		"append":          {0.05, func(int64) error { return l.Append(&call, elem) }},
		"append and pop0": {0.05, func(int64) error { _, err := l.Pop(&call, dst, 0); return errors.Join(err, l.Append(&call, elem)) }},
		"slice":           {0, func(i int64) error { _, _, err := l.Slice(&call, dst, &i, &i, nil); return err }},
	} {
		const runs = 2000
		if got := testing.AllocsPerRun(1, func() {
			for i := range int64(runs) {
				if err := c.f(i * 49); err != nil {
					t.Fatal(err)
				}
			}
		}) / runs; got > c.most {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}
