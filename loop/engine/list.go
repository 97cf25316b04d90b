package engine

import (
	"errors"
	"io"
	"math"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

func listAppend(x *Executor) error { return x.Table.List().Append(&x.call, x.args[0]) }

func listAppendLeft(x *Executor) error { return x.Table.List().Insert(&x.call, 0, x.args[0]) }

func listExtend(x *Executor) error { return x.Table.List().Extend(&x.call, x.rest, x.restN) }

func listInsert(x *Executor) error {
	i, err := position(x.args[0])
	if err != nil {
		return err
	}
	return x.Table.List().Insert(&x.call, i, x.args[1])
}

func listGet(x *Executor) error {
	i, err := index(x.args[0])
	if err != nil {
		return err
	}
	x.body, err = x.Table.List().Get(&x.call, x.body, i)
	return err
}

func listSet(x *Executor) error {
	i, err := index(x.args[0])
	if err != nil {
		return err
	}
	return x.Table.List().Set(&x.call, i, x.args[1])
}

func listDelete(x *Executor) error {
	i, err := index(x.args[0])
	if err != nil {
		return err
	}
	return x.Table.List().Delete(&x.call, i)
}

func listPop(x *Executor) (err error) {
	i := int64(-1)
	if x.n > 0 {
		if i, err = position(x.args[0]); err != nil {
			return err
		}
	}
	return x.pop(i, x.args[min(x.n, 1):x.n])
}

func listPopLeft(x *Executor) error { return x.pop(0, x.args[:x.n]) }

// pop removes item i. With an argument more, how long to wait, it waits while the list is empty, in
// the line of the list.
func (x *Executor) pop(i int64, wait [][]byte) (err error) {
	if len(wait) == 0 {
		x.body, err = x.Table.List().Pop(&x.call, x.body, i)
		return err
	}
	left, err := x.waitArgument(wait[0])
	if err != nil {
		return err
	}
	return x.takeInLine(x.hasTurn(left), left, func() error {
		x.body, err = x.Table.List().Pop(&x.call, x.body, i)
		return err
	})
}

// hasTurn reports whether it is the request's turn in the line of its list: nothing is before it,
// or it does not wait.
func (x *Executor) hasTurn(left timeLimit) bool {
	x.lineKey = append(append(x.lineKey[:0], listLine), x.TableName...)
	return left.over() && x.place() == nil || x.isNext(x.lineKey)
}

// takeInLine calls take if it is the request's turn. While take returns shardmap.ErrPopEmpty, and
// others are before it, the request waits; when the wait is over, takeInLine returns ErrPopEmpty.
func (x *Executor) takeInLine(turn bool, left timeLimit, take func() error) error {
	err := shardmap.ErrPopEmpty
	if turn {
		err = take()
	}
	if left.over() || !errors.Is(err, shardmap.ErrPopEmpty) {
		return err
	}
	return x.waitInLine(x.lineKey, owner{}, left.within(math.MaxInt64), x.Table.WhenChanged)
}

// slice holds the three parts of a slice; nil stands for None.
type slice struct {
	start, stop, step *int64
	ints              [3]int64
}

// read takes the slice from the first three arguments: the step first, as Python does.
func (s *slice) read(x *Executor) (err error) {
	if s.step, err = bound(x.args[2], &s.ints[2]); err != nil {
		return err
	}
	if s.step != nil && *s.step == 0 {
		return &codec.Error{Status: codec.StatusValueError, Message: "slice step cannot be zero"}
	}
	if s.start, err = bound(x.args[0], &s.ints[0]); err != nil {
		return err
	}
	s.stop, err = bound(x.args[1], &s.ints[1])
	return err
}

func listSlice(x *Executor) error {
	var s slice
	if err := s.read(x); err != nil {
		return err
	}
	body, _, err := x.Table.List().Slice(&x.call, x.body, s.start, s.stop, s.step)
	x.body = body
	return err
}

func viewSlice(x *Executor) (Stream, error) {
	s := new(slice)
	if err := s.read(x); err != nil {
		return Stream{}, err
	}
	view, err := x.Table.List().View(&x.call)
	if err != nil {
		return Stream{}, err
	}
	return Stream{Close: view.Close, Write: func(w io.Writer) error {
		values, err := view.Slice(s.start, s.stop, s.step)
		if err != nil {
			return err
		}
		return writeAll(w, values)
	}}, nil
}

func listSetSlice(x *Executor) error {
	var s slice
	if err := s.read(x); err != nil {
		return err
	}
	return x.Table.List().SetSlice(&x.call, s.start, s.stop, s.step, x.rest, x.restN)
}

func listDeleteSlice(x *Executor) error {
	var s slice
	if err := s.read(x); err != nil {
		return err
	}
	return x.Table.List().DelSlice(&x.call, s.start, s.stop, s.step)
}

func listAll(x *Executor) error {
	body, _, err := x.Table.List().AppendAll(&x.call, x.body)
	x.body = body
	return err
}

func viewAll(x *Executor) (Stream, error) {
	view, err := x.Table.List().View(&x.call)
	if err != nil {
		return Stream{}, err
	}
	return Stream{Close: view.Close, Write: func(w io.Writer) error { return writeAll(w, view.Values()) }}, nil
}

func listRemove(x *Executor) error { return x.Table.List().Remove(&x.call, x.args[0]) }

func listContains(x *Executor) error {
	has, err := x.Table.List().Contains(&x.call, x.args[0])
	x.body = msgp.AppendBool(x.body, has)
	return err
}

func viewContains(x *Executor) (Stream, error) {
	val := append([]byte(nil), x.args[0]...)
	view, err := x.Table.List().View(&x.call)
	if err != nil {
		return Stream{}, err
	}
	return Stream{Close: view.Close, Write: func(w io.Writer) error {
		_, err := w.Write(msgp.AppendBool(nil, view.Contains(val)))
		return err
	}}, nil
}

func listCount(x *Executor) error {
	n, err := x.Table.List().Count(&x.call, x.args[0])
	x.body = msgp.AppendInt(x.body, n)
	return err
}

func viewCount(x *Executor) (Stream, error) {
	val := append([]byte(nil), x.args[0]...)
	view, err := x.Table.List().View(&x.call)
	if err != nil {
		return Stream{}, err
	}
	return Stream{Close: view.Close, Write: func(w io.Writer) error {
		_, err := w.Write(msgp.AppendInt(nil, view.Count(val)))
		return err
	}}, nil
}

// indexRange reads the optional start and stop of LIST INDEX.
func indexRange(x *Executor) (s *slice, err error) {
	s = new(slice)
	if x.n > 1 {
		if s.start, err = bound(x.args[1], &s.ints[0]); err != nil {
			return s, err
		}
	}
	if x.n > 2 {
		s.stop, err = bound(x.args[2], &s.ints[1])
	}
	return s, err
}

func listIndex(x *Executor) error {
	s, err := indexRange(x)
	if err != nil {
		return err
	}
	i, err := x.Table.List().Index(&x.call, x.args[0], s.start, s.stop)
	x.body = msgp.AppendInt(x.body, i)
	return err
}

func viewIndex(x *Executor) (Stream, error) {
	s, err := indexRange(x)
	if err != nil {
		return Stream{}, err
	}
	val := append([]byte(nil), x.args[0]...)
	view, err := x.Table.List().View(&x.call)
	if err != nil {
		return Stream{}, err
	}
	return Stream{Close: view.Close, Write: func(w io.Writer) error {
		i, err := view.Index(val, s.start, s.stop)
		if err == nil {
			_, err = w.Write(msgp.AppendInt(nil, i))
		}
		return err
	}}, nil
}

func listReverse(x *Executor) error { return x.Table.List().Reverse(&x.call) }

func listSort(x *Executor) error {
	reverse, err := boolArgument(x.args[1], "reverse")
	if err != nil {
		return err
	}
	var key *value.SortKey
	if !msgp.IsNil(x.args[0]) {
		parse := value.ParseSortKey
		if x.call.Replay {
			parse = value.ParseStoredSortKey
		}
		if key, err = parse(x.args[0]); err != nil {
			return err
		}
	}
	return x.Table.List().Sort(&x.call, key, reverse)
}

func listClear(x *Executor) error { return x.Table.List().Clear(&x.call) }
