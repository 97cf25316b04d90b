package shardmap

import (
	"errors"
	"fmt"
	"slices"

	"cyberdb-fast/codec/value"
)

// listModel is a plain slice with Python's meaning. numbers is how many LSNs the last operation
// must have assigned.
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

// places returns the places that a slice picks, and the position of an empty one.
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
		return o, fmt.Errorf(
			"ValueError: attempt to assign sequence of size %d to extended slice of size %d",
			len(op.Vals),
			len(places),
		)
	default:
		for k, i := range places {
			m.elems[i] = op.Vals[k]
		}
		m.numbers = len(places)
	}
	return o, nil
}

func (m *listModel) take(places []int) {
	gone := make([]bool, len(m.elems))
	for _, i := range places {
		gone[i] = true
	}
	var kept [][]byte
	for i, e := range m.elems {
		if !gone[i] {
			kept = append(kept, e)
		}
	}
	m.elems = kept
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
