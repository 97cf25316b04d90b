package legacy

import (
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// translation makes the native request; the table's name, if the route has one, is already in the
// arguments. Errors: *Exception.
type translation func(r *Request) error

// plain uses the named fields as arguments, in this order.
func plain(op codec.Opcode, form replyForm, fields ...string) translation {
	return func(r *Request) error {
		r.Op, r.form = op, form
		for _, name := range fields {
			if err := r.argument(name); err != nil {
				return err
			}
		}
		return nil
	}
}

// keyed is plain for requests whose first field is the key of an entry.
func keyed(op codec.Opcode, form replyForm, fields ...string) translation {
	rest := plain(op, form, fields[1:]...)
	return func(r *Request) error {
		from := len(r.Args)
		if err := r.argument(fields[0]); err != nil {
			return err
		}
		to := len(r.Args)
		err := rest(r)
		r.key = r.Args[from:to]
		return err
	}
}

// create makes a table of the kind of its content, as CyberDB does.
func create(r *Request) error {
	content, err := r.field("content")
	if err != nil {
		return err
	}
	r.Args, r.form = msgp.AppendBool(r.Args, false), replyCreated
	switch content.Kind() {
	case pickle.Dict:
		r.Op = codec.OpCreateDict
		return r.pairs(content)
	case pickle.List:
		r.Op = codec.OpCreateList
		return r.elements(content, nil)
	}
	return NewException("TypeError", fmt.Sprintf("a table is a dict or a list, not %s", content.TypeName()))
}

// slice appends a slice's three parts to the arguments.
func (r *Request) slice(o pickle.Object) error {
	for _, part := range o.Parts() {
		if err := r.append(part); err != nil {
			return err
		}
	}
	return nil
}

func getItem(name string) translation {
	return func(r *Request) error {
		index, err := r.field(name)
		if err != nil {
			return err
		}
		if index.Kind() == pickle.Slice {
			r.Op, r.form = codec.OpListSlice, replyList
			return r.slice(index)
		}
		r.Op, r.form = codec.OpListGet, replyValue
		return r.append(index)
	}
}

func deleteItem(name string) translation {
	return func(r *Request) error {
		index, err := r.field(name)
		if err != nil {
			return err
		}
		if index.Kind() == pickle.Slice {
			r.Op = codec.OpListDeleteSlice
			return r.slice(index)
		}
		r.Op = codec.OpListDelete
		return r.append(index)
	}
}

func setItem(name string) translation {
	return func(r *Request) error {
		index, err := r.field(name)
		if err != nil {
			return err
		}
		if index.Kind() != pickle.Slice {
			return plain(codec.OpListSet, replyDone, name, "value")(r)
		}
		content, err := r.field("value")
		if err != nil {
			return err
		}
		r.Op = codec.OpListSetSlice
		if err := r.slice(index); err != nil {
			return err
		}
		text := "can only assign an iterable"
		if step := index.Part(2); step.Kind() != pickle.None {
			if n, isInt := step.Int(); !isInt || n != 1 {
				text = "must assign iterable to extended slice"
			}
		}
		return r.elements(content, NewException("TypeError", text))
	}
}

func extend(r *Request) error {
	content, err := r.field("obj")
	if err != nil {
		return err
	}
	r.Op = codec.OpListExtend
	return r.elements(content, nil)
}

// popOfTwo is list.pop with a key and a default.
func popOfTwo(*Request) error {
	return NewException("TypeError", "pop expected at most 1 argument, got 2")
}

// update accepts a dict, or an iterable of pairs. As in Python, the pairs before an invalid one are
// stored: they become the request, and the error becomes the reply.
func update(r *Request) error {
	content, err := r.field("dict2")
	if err != nil {
		return err
	}
	r.Op = codec.OpDictUpdate
	switch content.Kind() {
	case pickle.Dict, pickle.OrderedDict, pickle.Counter, pickle.DefaultDict:
		return r.pairs(content)
	}
	n := 0
	return r.each(content, nil, func(element pickle.Object) error {
		before := len(r.Args)
		err := r.pair(element, n)
		if err == nil {
			n++
			return nil
		}
		r.Args = r.Args[:before]
		return &stopped{err}
	})
}

// pair appends an element of update's iterable, which is a key and a value.
func (r *Request) pair(element pickle.Object, n int) error {
	before := len(r.Args)
	count := 0
	err := r.each(
		element,
		NewException(
			"TypeError",
			fmt.Sprintf("cannot convert dictionary update sequence element #%d to a sequence", n),
		),
		func(part pickle.Object) error {
			if count++; count > 2 {
				return nil
			}
			return r.append(part)
		},
	)
	if err != nil {
		return err
	}
	if count != 2 {
		return NewException(
			"ValueError",
			fmt.Sprintf("dictionary update sequence element #%d has length %d; 2 is required", n, count),
		)
	}
	if _, _, err := value.Key(r.Args[before:], nil); err != nil {
		return exceptionOf(err)
	}
	return nil
}

// stopped ends an iteration: the elements before it count, and the reply is the error.
type stopped struct{ err error }

func (s *stopped) Error() string { return s.err.Error() }

func (s *stopped) Unwrap() error { return s.err }

// sort parses the text of the key, and reverse by Python's rules.
func sort(r *Request) error {
	key, err := r.field("key")
	if err != nil {
		return err
	}
	reverse, err := r.field("reverse")
	if err != nil {
		return err
	}
	r.Op = codec.OpListSort
	switch key.Kind() {
	case pickle.None:
		r.Args = msgp.AppendNil(r.Args)
	case pickle.Str:
		encoded, err := ParseSortText(string(key.Text()))
		if err != nil {
			return err
		}
		r.Args = append(r.Args, encoded...)
	default:
		return NewException("TypeError", fmt.Sprintf("a sort key is a text, not %s", key.TypeName()))
	}
	n, isInt := reverse.Int()
	switch {
	case reverse.Kind() == pickle.BigInt || isInt && (n > math.MaxInt32 || n < math.MinInt32):
		return NewException("OverflowError", "Python int too large to convert to C int")
	case !isInt:
		return NewException(
			"TypeError",
			fmt.Sprintf("'%s' object cannot be interpreted as an integer", reverse.TypeName()),
		)
	}
	r.Args = msgp.AppendBool(r.Args, n != 0)
	return nil
}
