package shardmap

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// python is a CPython that runs list operations; see testdata/list_oracle.py.
type python struct {
	t   testing.TB
	in  *json.Encoder
	out *bufio.Reader
}

func startPython(t testing.TB) *python {
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("CPython is the oracle here, and python3 is missing: make test installs it")
	}
	cmd := exec.Command(path, "testdata/list_oracle.py")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("python: %v\n%s", err, &stderr)
		}
	})
	return &python{t, json.NewEncoder(in), bufio.NewReader(out)}
}

// run runs the operation in CPython and returns what it gave, and the list after it.
func (p *python) run(op listOp) (o outcome, list []byte) {
	p.t.Helper()
	request := map[string]any{
		"op":      op.Op,
		"i":       op.I,
		"start":   op.Start,
		"stop":    op.Stop,
		"step":    op.Step,
		"key":     op.Key,
		"reverse": op.Reverse,
	}
	vals := make([]string, len(op.Vals))
	for i, v := range op.Vals {
		vals[i] = hex.EncodeToString(v)
	}
	request["vals"] = vals
	if err := p.in.Encode(request); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("python: %v, after %v", err, op)
	}
	var answer struct {
		Err       *string
		Out, List string
		N         int
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		p.t.Fatal(err)
	}
	if answer.Err != nil {
		o.err = *answer.Err
	}
	o.n, o.out = answer.N, p.unhex(answer.Out)
	return o, p.unhex(answer.List)
}

func (p *python) unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// compare runs the operation on the list and in CPython.
func (s *listSession) compare(p *python, op listOp) {
	s.t.Helper()
	before := elements(s.t, s.list)
	got := s.run(op, op.Op == "sort")
	want, list := p.run(op)
	if got.err != want.err || !bytes.Equal(got.out, want.out) || got.n != want.n {
		s.t.Fatalf("%v: got %+v, Python %+v", op, got, want)
	}
	if op.Op == "sort" && got.err != "" {
		// Python leaves the elements in some order, we leave them unchanged.
		p.run(listOp{Op: "clear"})
		_, list = p.run(listOp{Op: "extend", Vals: before})
	}
	if all, _, err := s.list.AppendAll(&s.call, nil); err != nil || !bytes.Equal(all, list) {
		s.t.Fatalf("after %v: %x, Python %x; %v", op, all, list, err)
	}
}

func TestListAgainstPython(t *testing.T) {
	t.Parallel()
	r, p := seeded(t), startPython(t)
	for _, size := range []int{2, 8, 30} {
		s := newListSession(t, r, size)
		s.compare(p, listOp{Op: "clear"})
		for range 2500 {
			op := s.choose.next(&s.model)
			s.compare(p, op)
			s.model.run(op)
			if op.Op == "sort" { // the model does not know the order of what Python cannot order
				s.model.elems = elements(t, s.list)
			}
		}
	}
}

// elements returns the elements of a list.
func elements(t testing.TB, l *List) (elems [][]byte) {
	t.Helper()
	view, err := l.View(&Call{})
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	for e := range view.Values() {
		elems = append(elems, e)
	}
	return elems
}

func appendStrings(b []byte, s ...string) []byte {
	for _, s := range s {
		b = msgp.AppendString(b, s)
	}
	return b
}

// TestSortAgainstPython sorts lists of many shapes in both, also such as have no total order, or
// cannot be sorted: equal order and equal errors mean equal comparisons.
func TestSortAgainstPython(t *testing.T) {
	t.Parallel()
	r, p := seeded(t), startPython(t)
	integer := func(n int) []byte { return msgp.AppendInt(nil, r.IntN(n)-n/2) }
	float := func() []byte {
		return msgp.AppendFloat64(
			nil,
			[]float64{r.NormFloat64(), 0, math.Copysign(0, -1), math.Inf(1), float64(r.IntN(9))}[r.IntN(5)],
		)
	}
	text := func() []byte {
		return msgp.AppendString(
			nil,
			[]string{"", "a", "ab", "abcdefgh", "abcdefgh\x00", "abcdefghi", "é", "中文", "\U0001f600", "\uffff"}[r.IntN(10)],
		)
	}
	kinds := map[string]func() []byte{
		"ints":             func() []byte { return integer(1 << (1 + r.IntN(40))) },
		"few ints":         func() []byte { return integer(5) },
		"floats":           float,
		"nan":              func() []byte { return [][]byte{float(), msgp.AppendFloat64(nil, math.NaN())}[min(r.IntN(20)/19, 1)] },
		"ints and floats":  func() []byte { return [][]byte{integer(9), float(), msgp.AppendBool(nil, r.IntN(2) == 0)}[r.IntN(3)] },
		"strs":             text,
		"bytes":            func() []byte { return msgp.AppendBytes(nil, []byte(fmt.Sprint(r.IntN(300)))) },
		"one str in ints":  func() []byte { return [][]byte{integer(99), text()}[min(r.IntN(40)/39, 1)] },
		"strs and ints":    func() []byte { return [][]byte{integer(99), text()}[r.IntN(2)] },
		"nothing to order": func() []byte { return [][]byte{msgp.AppendNil(nil), integer(3)}[r.IntN(2)] },
		"sets":             func() []byte { return someSet(r) },
		"pairs":            func() []byte { return append(append([]byte{0x92}, integer(6)...), text()...) },
	}
	keys := []struct {
		python  string
		encoded []byte
	}{
		{"", nil},
		{"", nil},
		{"lambda x: x", msgp.AppendNil(nil)},
		{"lambda x: x[1]", append(appendStrings([]byte{0x92}, "path"), 1)},
		{"lambda x: -x", append(appendStrings([]byte{0x92}, "neg"), 0xc0)},
		{"len", append(appendStrings([]byte{0x92}, "len"), 0xc0)},
		{"str", append(appendStrings([]byte{0x92}, "str"), 0xc0)},
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		kind := kinds[name]
		for range 60 {
			s := newListSession(t, r, 1)
			n := r.IntN(10)
			if r.IntN(2) == 0 {
				n = r.IntN(700)
			}
			op := listOp{Op: "extend"}
			for range n {
				op.Vals = append(op.Vals, kind())
			}
			if r.IntN(3) == 0 { // runs, for the merges to gallop through
				slicesByHalves(op.Vals, r)
			}
			s.compare(p, listOp{Op: "clear"})
			s.compare(p, op)
			key := keys[r.IntN(len(keys))]
			sort := listOp{Op: "sort", Key: key.python, SortKey: key.encoded, Reverse: r.IntN(2) == 0}
			s.compare(p, sort)
			s.compare(p, sort) // of what is sorted, or was left unchanged
		}
	}
}

// slicesByHalves sorts stretches of vals, where Python can.
func slicesByHalves(vals [][]byte, r *rand.Rand) {
	for len(vals) > 2 {
		n := 2 + r.IntN(len(vals)-1)
		m := listModel{elems: vals[:n]}
		if m.sort(r.IntN(3) == 0) == nil {
			copy(vals, m.elems)
		}
		vals = vals[n:]
	}
}

// someSet returns a frozenset: these are ordered by inclusion only.
func someSet(r *rand.Rand) []byte {
	var members []byte
	for i := range byte(4) {
		if r.IntN(2) == 0 {
			members = append(members, i)
		}
	}
	payload := append([]byte{0x90 | byte(len(members))}, members...)
	return append(value.AppendExtHeader(nil, value.ExtFrozenSet, len(payload)), payload...)
}
