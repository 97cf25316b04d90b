package shardmap

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/shardmap/rope"
)

// TestListCopiesWhatItIsGiven has the caller use its buffer again, as an event loop does, after
// every method that takes elements.
func TestListCopiesWhatItIsGiven(t *testing.T) {
	type write func(l *List, c *Call, packed []byte, n int) error
	slice := func(start, stop, step *int64) write {
		return func(l *List, c *Call, packed []byte, n int) error { return l.SetSlice(c, start, stop, step, packed, n) }
	}
	cases := []struct {
		name string
		n    int
		f    write
		op   listOp // the same on the model
	}{
		{"set", 1, func(l *List, c *Call, v []byte, _ int) error { return l.Set(c, 3, v) }, listOp{Op: "set", I: 3}},
		{"append", 1, func(l *List, c *Call, v []byte, _ int) error { return l.Append(c, v) }, listOp{Op: "append"}},
		{
			"insert first",
			1,
			func(l *List, c *Call, v []byte, _ int) error { return l.Insert(c, 0, v) },
			listOp{Op: "insert"},
		},
		{
			"insert",
			1,
			func(l *List, c *Call, v []byte, _ int) error { return l.Insert(c, 7, v) },
			listOp{Op: "insert", I: 7},
		},
		{"extend", 3, func(l *List, c *Call, v []byte, n int) error { return l.Extend(c, v, n) }, listOp{Op: "extend"}},
		{
			"slice of one",
			1,
			slice(pointer(2), pointer(3), nil),
			listOp{Op: "set slice", Start: pointer(2), Stop: pointer(3)},
		},
		{
			"slice of as many",
			3,
			slice(pointer(2), pointer(5), nil),
			listOp{Op: "set slice", Start: pointer(2), Stop: pointer(5)},
		},
		{
			"slice of more",
			3,
			slice(pointer(2), pointer(4), nil),
			listOp{Op: "set slice", Start: pointer(2), Stop: pointer(4)},
		},
		{
			"slice of many",
			12,
			slice(pointer(2), pointer(14), nil),
			listOp{Op: "set slice", Start: pointer(2), Stop: pointer(14)},
		},
		{"slice at the end", 3, slice(pointer(40), nil, nil), listOp{Op: "set slice", Start: pointer(40)}},
		{
			"slice with steps",
			3,
			slice(pointer(1), pointer(10), pointer(3)),
			listOp{Op: "set slice", Start: pointer(1), Stop: pointer(10), Step: pointer(3)},
		},
		{
			"slice backwards",
			10,
			slice(pointer(9), nil, pointer(-1)),
			listOp{Op: "set slice", Start: pointer(9), Step: pointer(-1)},
		},
	}
	for _, size := range []int{5, 5000, 2 << 20} {
		given := func(i int) []byte { return msgp.AppendBytes(nil, bytes.Repeat([]byte{byte(i + 1)}, size)) }
		// what is overwritten has a leaf alone, or has not
		for _, old := range []int{20, rope.LeafBytes + 1} {
			for _, c := range cases {
				t.Run(fmt.Sprintf("%s %d over %d", c.name, size, old), func(t *testing.T) {
					l := newListOf(
						t,
						repeated(
							20,
							func(i int) []byte { return msgp.AppendBytes(nil, bytes.Repeat([]byte{byte(i)}, old)) },
						)...).List()
					m := listModel{elems: elements(t, l)}
					c.op.Vals = repeated(c.n, given)
					packed, call := bytes.Join(c.op.Vals, nil), Call{}
					err := c.f(l, &call, packed, c.n)
					if errors.Is(err, ErrLong) {
						call.MayBlock = true
						err = c.f(l, &call, packed, c.n)
					}
					if err != nil {
						t.Fatal(err)
					}
					clear(packed)
					m.run(c.op)
					if !slices.EqualFunc(elements(t, l), m.elems, bytes.Equal) {
						t.Error("the list changed with the caller's buffer")
					}
				})
			}
		}
		t.Run(fmt.Sprintf("create %d", size), func(t *testing.T) {
			want := repeated(4, given)
			packed := bytes.Join(want, nil)
			table, err := NewStore().Create(&Call{MayBlock: true}, "list", KindList, packed, len(want))
			if err != nil {
				t.Fatal(err)
			}
			clear(packed)
			if !slices.EqualFunc(elements(t, table.List()), want, bytes.Equal) {
				t.Error("the list changed with the caller's buffer")
			}
		})
	}
}
