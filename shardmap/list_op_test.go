package shardmap

import (
	"bytes"
	"fmt"

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
	return fmt.Sprintf(
		"%s %d [%s:%s:%s] %x key %q reverse %v",
		op.Op,
		op.I,
		bound(op.Start),
		bound(op.Stop),
		bound(op.Step),
		op.Vals,
		op.Key,
		op.Reverse,
	)
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
