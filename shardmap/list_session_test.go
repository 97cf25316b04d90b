package shardmap

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// listWeights says how often an operation is chosen.
var listWeights = []struct {
	op     string
	weight int
}{
	{"get", 6},
	{"set", 6},
	{"append", 8},
	{"extend", 6},
	{"insert", 8},
	{"delete", 6},
	{"pop", 6},
	{"slice", 10},
	{"set slice", 12},
	{"delete slice", 8},
	{"contains", 2},
	{"count", 2},
	{"index", 6},
	{"remove", 6},
	{"reverse", 2},
	{"sort", 4},
	{"clear", 1},
}

// listChooser makes random operations for lists of about so many elements.
type listChooser struct {
	pick choices
	size int
	val  func() []byte
}

// plainValue returns values many of which are equal, in several types.
func plainValue(pick choices) []byte {
	n := pick.IntN(6)
	switch pick.IntN(9) {
	case 0:
		return msgp.AppendFloat64(nil, float64(n))
	case 1:
		return msgp.AppendBool(nil, n&1 == 1)
	case 2:
		return msgp.AppendString(nil, string(rune('a'+n)))
	case 3:
		return msgp.AppendBytes(nil, []byte{byte(n)})
	case 4:
		return msgp.AppendNil(nil)
	}
	return msgp.AppendInt(nil, n*n*n*n*n-7)
}

func (c *listChooser) index() int64 {
	switch c.pick.IntN(20) {
	case 0:
		return math.MinInt64 + int64(c.pick.IntN(2))
	case 1:
		return math.MaxInt64 - int64(c.pick.IntN(2))
	}
	return int64(c.pick.IntN(2*c.size+3) - c.size - 1)
}

func (c *listChooser) bound() *int64 {
	if c.pick.IntN(4) == 0 {
		return nil
	}
	i := c.index()
	return &i
}

func (c *listChooser) step() *int64 {
	i := int64(c.pick.IntN(13) - 6)
	switch c.pick.IntN(6) {
	case 0, 1:
		return nil
	case 2:
		i = c.index()
	}
	return &i
}

func (c *listChooser) vals(n int) [][]byte {
	vals := make([][]byte, n)
	for i := range vals {
		vals[i] = c.val()
	}
	return vals
}

// next chooses an operation; m is the list it will be run on.
func (c *listChooser) next(m *listModel) listOp {
	total := 0
	for _, w := range listWeights {
		total += w.weight
	}
	var op listOp
	n := c.pick.IntN(total)
	for _, w := range listWeights {
		if n -= w.weight; n < 0 {
			op.Op = w.op
			break
		}
	}
	op.I, op.Start, op.Stop = c.index(), c.bound(), c.bound()
	switch op.Op {
	case "slice", "delete slice":
		op.Step = c.step()
	case "set slice":
		op.Step = c.step()
		k := c.pick.IntN(c.size/4 + 2)
		if places, _, step := m.places(op); step != 1 && c.pick.IntN(4) > 0 {
			k = len(places)
		}
		op.Vals = c.vals(k)
	case "extend":
		op.Vals = c.vals(c.pick.IntN(c.size/4 + 2))
	case "sort":
		op.Reverse = c.pick.IntN(2) == 0
	case "set", "append", "insert", "contains", "count", "index", "remove":
		op.Vals = c.vals(1)
	}
	if op.Op == "remove" && c.pick.IntN(2) == 0 && len(m.elems) > 0 {
		op.Vals[0] = m.elems[c.pick.IntN(len(m.elems))]
	}
	return op
}

// listSession runs operations on a list and on the model, and compares.
type listSession struct {
	t      testing.TB
	store  *Store
	list   *List
	call   Call
	model  listModel
	choose listChooser
	views  []openListView
}

type openListView struct {
	view *ListView
	want []byte
}

func newListSession(t testing.TB, pick choices, size int) *listSession {
	s := &listSession{t: t, store: NewStore()}
	table, err := s.store.Create(&s.call, "list", KindList, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.list = table.List()
	s.choose = listChooser{pick: pick, size: size, val: func() []byte { return plainValue(pick) }}
	return s
}

// run runs the operation inline, and again in the background if that is too long and may be.
func (s *listSession) run(op listOp, mayBeLong bool) outcome {
	got := op.run(s.list, &s.call)
	if got.err != ErrLong.Error() || !mayBeLong {
		return got
	}
	s.call.MayBlock = true
	defer func() { s.call.MayBlock = false }()
	return op.run(s.list, &s.call)
}

func (s *listSession) step() {
	s.t.Helper()
	op := s.choose.next(&s.model)
	before, length := s.store.Clock(), len(s.model.elems)
	got, want := s.run(op, op.Op == "sort" || max(length, len(op.Vals)) > InlineElements), s.model.run(op)
	if want.err == errModelSort.Error() && got.err != "" {
		want.err = got.err
	}
	if got.err != want.err || !bytes.Equal(got.out, want.out) || got.n != want.n {
		s.t.Fatalf("%v: got %+v, want %+v", op, got, want)
	}
	if assigned := s.store.Clock() - before; assigned != uint64(s.model.numbers) {
		s.t.Fatalf("%v assigned %d LSNs, want %d", op, assigned, s.model.numbers)
	}
	if s.model.numbers > 0 && s.call.Version != s.store.Clock() {
		s.t.Fatalf("%v: version %d, want %d", op, s.call.Version, s.store.Clock())
	}
	if s.list.Len() != len(s.model.elems) {
		s.t.Fatalf("%v: length %d, want %d", op, s.list.Len(), len(s.model.elems))
	}
}

// check compares everything, and reads the views opened until now.
func (s *listSession) check() {
	s.t.Helper()
	if err := s.list.rope.Check(); err != nil {
		s.t.Fatal(err)
	}
	s.call.MayBlock = true
	all, n, err := s.list.AppendAll(&s.call, nil)
	s.call.MayBlock = false
	want := bytes.Join(s.model.elems, nil)
	if err != nil || n != len(s.model.elems) || !bytes.Equal(all, want) {
		s.t.Fatalf("contents differ: %d elements, want %d; %v", n, len(s.model.elems), err)
	}
	for _, v := range s.views {
		if got := slices.Concat(slices.Collect(v.view.Values())...); !bytes.Equal(got, v.want) {
			s.t.Fatal("a view has changed")
		}
	}
	view, err := s.list.View(&Call{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.views = append(s.views, openListView{view, want})
}

func TestListAgainstModel(t *testing.T) {
	for _, size := range []int{3, 12, 100, 3000, 20_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			s := newListSession(t, seeded(t), size)
			for i := range 3_000_000 / (size + 100) {
				s.step()
				if i%100 == 0 {
					s.check()
				}
			}
			s.check()
		})
	}
}

func FuzzListOps(f *testing.F) {
	f.Add([]byte("0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
	f.Fuzz(func(t *testing.T, data []byte) {
		choices := byteChoices(data)
		s := newListSession(t, &choices, 10)
		for len(choices) > 0 {
			s.step()
		}
		s.check()
	})
}
