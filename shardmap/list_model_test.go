package shardmap

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// listOp is one operation, for the list, the model and CPython alike.
type listOp struct {
	Op                string
	I                 int64
	Start, Stop, Step *int64
	Vals              [][]byte
	Key               string // as Python
	SortKey           []byte
	Reverse           bool
}

func (op listOp) String() string {
	bound := func(i *int64) string {
		if i == nil {
			return ""
		}
		return fmt.Sprint(*i)
	}
	return fmt.Sprintf("%s %d [%s:%s:%s] %x key %q reverse %v", op.Op, op.I, bound(op.Start), bound(op.Stop), bound(op.Step), op.Vals, op.Key, op.Reverse)
}

// outcome is what an operation gave.
type outcome struct {
	err string // "IndexError: list index out of range", or empty
	out []byte
	n   int
}

func failed(err error) outcome { return outcome{err: err.Error()} }

// run runs the operation on a list.
func (op listOp) run(l *List, c *Call) (o outcome) {
	var (
		err    error
		packed = bytes.Join(op.Vals, nil)
	)
	switch op.Op {
	case "get":
		o.out, err = l.Get(c, nil, op.I)
	case "set":
		err = l.Set(c, op.I, packed)
	case "append":
		err = l.Append(c, packed)
	case "extend":
		err = l.Extend(c, packed, len(op.Vals))
	case "insert":
		err = l.Insert(c, op.I, packed)
	case "delete":
		err = l.Delete(c, op.I)
	case "pop":
		o.out, err = l.Pop(c, nil, op.I)
	case "slice":
		o.out, o.n, err = l.Slice(c, nil, op.Start, op.Stop, op.Step)
	case "set slice":
		err = l.SetSlice(c, op.Start, op.Stop, op.Step, packed, len(op.Vals))
	case "delete slice":
		err = l.DelSlice(c, op.Start, op.Stop, op.Step)
	case "contains":
		var has bool
		if has, err = l.Contains(c, packed); has {
			o.n = 1
		}
	case "count":
		o.n, err = l.Count(c, packed)
	case "index":
		o.n, err = l.Index(c, packed, op.Start, op.Stop)
	case "remove":
		err = l.Remove(c, packed)
	case "reverse":
		err = l.Reverse(c)
	case "sort":
		err = l.sortBy(c, op.SortKey, op.Reverse)
	case "clear":
		err = l.Clear(c)
	}
	if err != nil {
		return failed(err)
	}
	return o
}

func (l *List) sortBy(c *Call, encoded []byte, reverse bool) error {
	if encoded == nil {
		return l.Sort(c, nil, reverse)
	}
	key, err := value.ParseSortKey(encoded)
	if err != nil {
		return err
	}
	return l.Sort(c, key, reverse)
}

// listModel is a plain slice with Python's meaning. numbers is how many LSNs the last operation must have drawn.
type listModel struct {
	elems   [][]byte
	numbers int
}

var errModelSort = errors.New("not comparable")

// at resolves an index.
func (m *listModel) at(i int64) (int, bool) {
	n := int64(len(m.elems))
	if i < -n || i >= n {
		return 0, false
	}
	return int((i + n) % n), true
}

// resolve returns a bound of a slice without overflow: at most some steps outside the list.
func (m *listModel) resolve(i *int64, none int) int {
	if i == nil {
		return none
	}
	n := int64(len(m.elems))
	if *i < 0 {
		return int(max(*i+n, -1))
	}
	return int(min(*i, n))
}

// places returns the places that a slice picks, and where an empty one stands.
func (m *listModel) places(op listOp) (places []int, at int, step int64) {
	n := len(m.elems)
	step = 1
	if op.Step != nil {
		step = *op.Step
	}
	if step == 0 {
		return nil, 0, 0
	}
	if step > 0 {
		at = max(m.resolve(op.Start, 0), 0)
		for i := int64(at); i < int64(m.resolve(op.Stop, n)); i += min(step, 1<<40) {
			places = append(places, int(i))
		}
		return places, at, step
	}
	for i := int64(min(m.resolve(op.Start, n-1), n-1)); i > int64(m.resolve(op.Stop, -1)); i += max(step, -1<<40) {
		places = append(places, int(i))
	}
	return places, at, step
}

func (m *listModel) find(val []byte, from, to int) int {
	for i := from; i < to; i++ {
		if value.Equal(m.elems[i], val) {
			return i
		}
	}
	return -1
}

// run runs the operation on the model.
func (m *listModel) run(op listOp) (o outcome) {
	m.numbers = 0
	var err error
	switch at, ok := m.at(op.I); op.Op {
	case "get":
		if !ok {
			return failed(errIndex)
		}
		o.out = m.elems[at]
	case "set":
		if !ok {
			return failed(errAssign)
		}
		m.elems[at], m.numbers = op.Vals[0], 1
	case "append", "extend":
		m.elems, m.numbers = append(m.elems, op.Vals...), len(op.Vals)
	case "insert":
		n := int64(len(m.elems))
		i := op.I
		if i < 0 {
			i = max(0, i+n)
		}
		m.elems, m.numbers = slices.Insert(m.elems, int(min(i, n)), op.Vals[0]), 1
	case "delete", "pop":
		switch {
		case ok:
		case op.Op == "delete":
			return failed(errAssign)
		case len(m.elems) == 0:
			return failed(errPopEmpty)
		default:
			return failed(errPop)
		}
		if op.Op == "pop" {
			o.out = m.elems[at]
		}
		m.elems, m.numbers = slices.Delete(m.elems, at, at+1), 1
	case "slice", "set slice", "delete slice":
		o, err = m.slice(op)
	case "contains":
		if m.find(op.Vals[0], 0, len(m.elems)) >= 0 {
			o.n = 1
		}
	case "count":
		for _, e := range m.elems {
			if value.Equal(e, op.Vals[0]) {
				o.n++
			}
		}
	case "index":
		n := len(m.elems)
		o.n = m.find(op.Vals[0], max(m.resolve(op.Start, 0), 0), m.resolve(op.Stop, n))
		if o.n < 0 {
			return failed(notInList(op.Vals[0]))
		}
	case "remove":
		i := m.find(op.Vals[0], 0, len(m.elems))
		if i < 0 {
			return failed(errRemove)
		}
		m.elems, m.numbers = slices.Delete(m.elems, i, i+1), 1
	case "reverse":
		slices.Reverse(m.elems)
		m.numbers = min(len(m.elems)/2, 1)
	case "sort":
		err = m.sort(op.Reverse)
	case "clear":
		m.numbers = min(len(m.elems), 1)
		m.elems = nil
	}
	if err != nil {
		return failed(err)
	}
	return o
}

func (m *listModel) slice(op listOp) (o outcome, err error) {
	places, at, step := m.places(op)
	switch {
	case step == 0:
		return o, errSliceStep
	case op.Op == "slice":
		for _, i := range places {
			o.out = append(o.out, m.elems[i]...)
		}
		o.n = len(places)
	case op.Op == "delete slice":
		m.numbers = min(len(places), 1)
		m.take(places)
	case step == 1:
		m.take(places)
		m.elems = slices.Insert(m.elems, at, op.Vals...)
		m.numbers = max(len(op.Vals), min(len(places), 1))
	case len(places) != len(op.Vals):
		return o, fmt.Errorf("ValueError: attempt to assign sequence of size %d to extended slice of size %d", len(op.Vals), len(places))
	default:
		for k, i := range places {
			m.elems[i] = op.Vals[k]
		}
		m.numbers = len(places)
	}
	return o, nil
}

func (m *listModel) take(places []int) {
	slices.Sort(places)
	for k, i := range places {
		m.elems = slices.Delete(m.elems, i-k, i-k+1)
	}
}

// sort sorts by the elements; they must be of types that are either always comparable or never.
func (m *listModel) sort(reverse bool) error {
	sorted := slices.Clone(m.elems)
	var failed error
	slices.SortStableFunc(sorted, func(a, b []byte) int {
		if reverse {
			a, b = b, a
		}
		less, err := value.Less(a, b)
		more, _ := value.Less(b, a)
		switch {
		case err != nil:
			failed = errModelSort
		case less:
			return -1
		case more:
			return 1
		}
		return 0
	})
	if failed == nil {
		m.elems, m.numbers = sorted, min(len(sorted)/2, 1)
	}
	return failed
}

// listWeights says how often an operation is chosen.
var listWeights = []struct {
	op     string
	weight int
}{
	{"get", 6}, {"set", 6}, {"append", 8}, {"extend", 6}, {"insert", 8}, {"delete", 6}, {"pop", 6}, {"slice", 10}, {"set slice", 12},
	{"delete slice", 8}, {"contains", 2}, {"count", 2}, {"index", 6}, {"remove", 6}, {"reverse", 2}, {"sort", 4}, {"clear", 1},
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

func (s *listSession) step() {
	s.t.Helper()
	op := s.choose.next(&s.model)
	before := s.store.Clock()
	got, want := op.run(s.list, &s.call), s.model.run(op)
	if want.err == errModelSort.Error() && got.err != "" {
		want.err = got.err
	}
	if got.err != want.err || !bytes.Equal(got.out, want.out) || got.n != want.n {
		s.t.Fatalf("%v: got %+v, want %+v", op, got, want)
	}
	if drew := s.store.Clock() - before; drew != uint64(s.model.numbers) {
		s.t.Fatalf("%v drew %d numbers, want %d", op, drew, s.model.numbers)
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
	s.call.Beside = true
	all, n, err := s.list.AppendAll(&s.call, nil)
	s.call.Beside = false
	want := bytes.Join(s.model.elems, nil)
	if err != nil || n != len(s.model.elems) || !bytes.Equal(all, want) {
		s.t.Fatalf("contents differ: %d elements, want %d; %v", n, len(s.model.elems), err)
	}
	for _, v := range s.views {
		if got := slices.Concat(slices.Collect(v.view.Values())...); !bytes.Equal(got, v.want) {
			s.t.Fatal("a view has changed")
		}
	}
	view, err := s.list.View()
	if err != nil {
		s.t.Fatal(err)
	}
	s.views = append(s.views, openListView{view, want})
}

func TestListAgainstModel(t *testing.T) {
	for _, size := range []int{3, 12, 100, 3000} {
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
