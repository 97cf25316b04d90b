package shardmap

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap/rope"
)

// newListOf returns a list of the elements.
func newListOf(t testing.TB, elems ...[]byte) *Table {
	t.Helper()
	table, err := NewStore().Create(&Call{MayBlock: true}, "list", KindList, bytes.Join(elems, nil), len(elems))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// repeated returns n elements that elem makes.
func repeated(n int, elem func(i int) []byte) [][]byte {
	elems := make([][]byte, n)
	for i := range elems {
		elems[i] = elem(i)
	}
	return elems
}

// TestListByteBounds sees that a call is as long as the work on the elements that it reads, few
// elements or not.
func TestListByteBounds(t *testing.T) {
	ints := repeated(3000, intElem)
	big := msgp.AppendBytes(nil, make([]byte, 2*InlineBytes))
	oneBig := slices.Insert(slices.Clone(ints), 1001, big)
	texts := repeated(
		inlineSortBytes/60,
		func(i int) []byte { return msgp.AppendString(nil, fmt.Sprintf("%0900d", i)) },
	)
	pairs := repeated(inlineSortBytes/40, func(i int) []byte { return append([]byte{0x92}, msgp.AppendInt(intElem(i%7), i)...) })[:InlineElements]
	decimals := repeated(1400, func(i int) []byte { return append([]byte{0xd6, value.ExtDecimal}, "1E+9"...) })
	halves := repeated(
		40,
		func(i int) []byte { return msgp.AppendBytes(nil, bytes.Repeat([]byte{byte(i)}, InlineBytes/2)) },
	)
	first, absent := texts[:1], [][]byte{msgp.AppendString(nil, "absent")}
	cases := []struct {
		name  string
		elems [][]byte
		op    listOp
		long  bool
	}{
		{"slice of one large element", oneBig, listOp{Op: "slice", Start: pointer(1001), Stop: pointer(1002)}, true},
		{
			"slice of small ones and a large one",
			oneBig,
			listOp{Op: "slice", Start: pointer(990), Stop: pointer(1010)},
			true,
		},
		{
			"slice backwards",
			oneBig,
			listOp{Op: "slice", Start: pointer(1010), Stop: pointer(990), Step: pointer(-1)},
			true,
		},
		{"slice strided over the large one", oneBig, listOp{Op: "slice", Start: pointer(1), Step: pointer(100)}, true},
		{"slice strided past the large one", oneBig, listOp{Op: "slice", Step: pointer(100)}, false},
		{"slice before the large one", oneBig, listOp{Op: "slice", Stop: pointer(1001)}, false},
		{"set slice", ints, listOp{Op: "set slice", Start: pointer(5), Stop: pointer(6), Vals: [][]byte{big}}, true},
		{
			"set slice strided",
			ints,
			listOp{Op: "set slice", Stop: pointer(4), Step: pointer(3), Vals: [][]byte{big, intElem(1)}},
			true,
		},
		{"delete slice with small steps", halves, listOp{Op: "delete slice", Step: pointer(2)}, false},
		{"sort ints", ints, listOp{Op: "sort", Reverse: true}, false},
		{"sort long texts", texts, listOp{Op: "sort", Reverse: true}, true},
		{"sort pairs", pairs, listOp{Op: "sort"}, true},
		{"sort few pairs", pairs[:500], listOp{Op: "sort"}, false},
		{"reverse", oneBig, listOp{Op: "reverse"}, true},
		{"count ints", ints, listOp{Op: "count", Vals: ints[:1]}, false},
		{"count texts", texts, listOp{Op: "count", Vals: first}, true},
		{"count pairs", pairs, listOp{Op: "count", Vals: pairs[:1]}, false},
		{"count ints among decimals", decimals, listOp{Op: "count", Vals: ints[:1]}, true},
		{"count a decimal among ints", ints, listOp{Op: "count", Vals: decimals[:1]}, false},
		{"contains the first text", texts, listOp{Op: "contains", Vals: first}, false},
		{"contains no text", texts, listOp{Op: "contains", Vals: absent}, true},
		{
			"index in a short range",
			texts,
			listOp{Op: "index", Vals: absent, Start: pointer(10), Stop: pointer(20)},
			false,
		},
		{"index of a pair", pairs, listOp{Op: "index", Vals: pairs[len(pairs)-1:]}, false},
		{"remove the first text", texts, listOp{Op: "remove", Vals: first}, false},
		{"remove no text", texts, listOp{Op: "remove", Vals: absent}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkLong(t, newListOf(t, c.elems...), c.op, c.long) })
	}
}

// TestDeleteSliceCopiesLittle deletes between large elements: these stay where they are.
func TestDeleteSliceCopiesLittle(t *testing.T) {
	elem := msgp.AppendBytes(nil, make([]byte, InlineBytes/2))
	l := newListOf(t, slices.Repeat([][]byte{elem}, 100)...).List()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := l.DelSlice(&Call{}, nil, nil, pointer(2)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > InlineBytes {
		t.Errorf("allocated %d bytes", got)
	}
}

// TestListAfterFault makes values panic: before the list is changed it stays complete and
// in use by others, in the middle of a change it is poisoned.
func TestListAfterFault(t *testing.T) {
	faults := map[string]func(l *List, c *Call) error{
		"sort": func(l *List, c *Call) error {
			return l.reorder(c, func(*rope.Root, *sortMeter) (*rope.Rope, error) { panic("fault") })
		},
		"extend": func(l *List, c *Call) error {
			return l.edit(c, c.MayBlock, 1, func(*rope.Rope) { panic("fault") })
		},
		"set slice": func(l *List, c *Call) error { // not a checked encoding: it ends too early
			return l.SetSlice(c, pointer(1), pointer(1), nil, []byte{0xd9}, 1)
		},
	}
	for name, fault := range faults {
		for _, mayBlock := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s mayBlock %v", name, mayBlock), func(t *testing.T) {
				table := newTestList(t, 10)
				l := table.List()
				c := &Call{MayBlock: mayBlock}
				poisoned := panics(t, c, func() { _ = fault(l, c) })
				if want := name == "set slice" || name == "extend" && !mayBlock; (poisoned != nil) != want {
					t.Error("poisoned:", poisoned)
				}
				if !l.mu.TryLock() {
					t.Fatal("the list is locked")
				}
				l.mu.Unlock()
				if table.WhenUnlocked(func() {}) {
					t.Fatal("the table is locked")
				}
				if poisoned != nil {
					return
				}
				if err := l.Append(&Call{}, intElem(10)); err != nil || l.Len() != 11 {
					t.Errorf("append: %v, %d elements", err, l.Len())
				}
				if got := elements(t, l); !slices.EqualFunc(got, repeated(11, intElem), bytes.Equal) {
					t.Errorf("elements %x", got)
				}
			})
		}
	}
}

// TestBackgroundLeavesTheMutex sees that values are opened without the mutex in a background call,
// however short the list.
func TestBackgroundLeavesTheMutex(t *testing.T) {
	l := newTestList(t, 10).List()
	err := l.reorder(&Call{MayBlock: true}, func(old *rope.Root, _ *sortMeter) (*rope.Rope, error) {
		if !l.mu.TryLock() {
			return nil, errors.New("the list is locked")
		}
		l.mu.Unlock()
		return old.Thaw(), nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestViewKeepsOneRoot reads the tables of a view several times.
func TestViewKeepsOneRoot(t *testing.T) {
	table := newTestList(t, 10)
	v := table.store.View()
	defer v.Close()
	for range 3 {
		for _, tv := range v.Tables() {
			if n := tv.List().Len(); n != 10 {
				t.Errorf("%d elements", n)
			}
		}
		if err := table.List().Append(&Call{}, intElem(1)); err != nil {
			t.Fatal(err)
		}
	}
	if parts := v.cut.allParts(table); len(parts) != 1 {
		t.Errorf("the view keeps %d roots", len(parts))
	}
}
