package legacy

import (
	"errors"
	"fmt"
	"math/big"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// pairs appends the keys and values of a dict to the arguments.
func (r *Request) pairs(o pickle.Object) error {
	if _, err := o.Size(); err != nil && !errors.Is(err, value.ErrTooLarge) { // equal keys become one
		return exceptionOf(err)
	}
	for i, part := range o.Parts() {
		if i == 0 && o.Kind() == pickle.DefaultDict { // the factory
			continue
		}
		if err := r.append(part); err != nil {
			return err
		}
	}
	return nil
}

// elements appends the elements that iterating over an object yields. If it is not iterable, the
// error is notIterable, or Python's own if that is nil.
func (r *Request) elements(o pickle.Object, notIterable *Exception) error {
	return r.each(o, notIterable, r.append)
}

// each calls f for each element of an iteration, in order. A *stopped from f ends it and becomes
// the reply after the request.
func (r *Request) each(o pickle.Object, notIterable *Exception, f func(pickle.Object) error) error {
	err := r.iterate(o, notIterable, f)
	var stop *stopped
	if errors.As(err, &stop) && errors.As(stop.err, &r.after) {
		return nil
	}
	return err
}

func (r *Request) iterate(o pickle.Object, notIterable *Exception, f func(pickle.Object) error) error {
	first, step := 0, 1
	switch o.Kind() {
	case pickle.List, pickle.Tuple:
	case pickle.Set, pickle.FrozenSet:
		if _, err := o.Size(); err != nil { // equal members become one
			return exceptionOf(err)
		}
	case pickle.Deque: // after the maxlen
		first = 1
	case pickle.Dict, pickle.OrderedDict, pickle.Counter:
		if _, err := o.Size(); err != nil {
			return exceptionOf(err)
		}
		step = 2
	case pickle.DefaultDict:
		first, step = 1, 2
	case pickle.Str, pickle.Bytes, pickle.ByteArray, pickle.Encoded:
		return r.iterateScalar(o, notIterable, f)
	default:
		return notIterableAs(o, notIterable)
	}
	for i := first; i < o.Len(); i += step {
		if err := f(o.Part(i)); err != nil {
			return err
		}
	}
	return nil
}

func notIterableAs(o pickle.Object, e *Exception) *Exception {
	if e == nil {
		e = NewException("TypeError", fmt.Sprintf("'%s' object is not iterable", o.TypeName()))
	}
	return e
}

// iterateScalar is iterate for a str (its characters), bytes (their numbers) and a range: their
// elements are made here, as a list.
func (r *Request) iterateScalar(o pickle.Object, notIterable *Exception, f func(pickle.Object) error) error {
	if r.Quick && len(o.Text()) > quickElements {
		return ErrLong
	}
	var list []byte
	switch o.Kind() {
	case pickle.Str:
		list = pickle.AppendList(pickle.Begin(nil))
		for text := o.Text(); len(text) > 0; {
			_, n := utf8.DecodeRune(text)
			if n == 1 && text[0] >= utf8.RuneSelf {
				n = 3 // a lone surrogate
			}
			list = pickle.AppendText(list, text[:n])
			text = text[n:]
		}
	case pickle.Bytes, pickle.ByteArray:
		list = pickle.AppendList(pickle.Begin(nil))
		for _, c := range o.Text() {
			list = pickle.AppendInt(list, int64(c))
		}
	default:
		var err error
		if list, err = r.listOfRange(o, notIterable); err != nil {
			return err
		}
	}
	var u pickle.Unpickler
	root, _, err := u.Parse(pickle.End(pickle.EndList(list)))
	if err != nil {
		return exceptionOf(err)
	}
	return r.iterate(root, nil, f)
}

// listOfRange is the beginning of the pickle of a range's numbers.
func (r *Request) listOfRange(o pickle.Object, notIterable *Exception) ([]byte, error) {
	encoded, err := o.Append(nil)
	if err != nil {
		return nil, exceptionOf(err)
	}
	v, _, err := govalue.Decode(encoded)
	rng, isRange := v.(govalue.Range)
	if err != nil || !isRange {
		return nil, notIterableAs(o, notIterable)
	}
	var parts [3]*big.Int
	for i, part := range []any{rng.Start, rng.Stop, rng.Step} {
		switch part := part.(type) {
		case int64:
			parts[i] = big.NewInt(part)
		case uint64:
			parts[i] = new(big.Int).SetUint64(part)
		case *big.Int:
			parts[i] = part
		}
	}
	length := lengthOfRange(parts[0], parts[1], parts[2])
	switch {
	case length.Cmp(big.NewInt(codec.MaxArguments)) > 0:
		return nil, NewException("ValueError", fmt.Sprintf("a range of more than %d numbers", codec.MaxArguments))
	case length.Int64()*int64(max(parts[0].BitLen(), parts[1].BitLen())/8) > codec.MaxFrameBytes:
		return nil, NewException(
			"ValueError",
			fmt.Sprintf("a range of more than %d bytes of numbers", codec.MaxFrameBytes),
		)
	case r.Quick && length.Cmp(big.NewInt(quickElements)) > 0:
		return nil, ErrLong
	}
	list := pickle.AppendList(pickle.Begin(nil))
	next := new(big.Int).Set(parts[0])
	for range length.Int64() {
		number, err := value.AppendBigInt(nil, next)
		if err == nil {
			list, err = pickle.AppendValue(list, number)
		}
		if err != nil {
			return nil, exceptionOf(err)
		}
		next.Add(next, parts[2])
	}
	return list, nil
}

// lengthOfRange returns how many numbers there are from start to before stop in the given steps.
func lengthOfRange(start, stop, step *big.Int) *big.Int {
	span, width := new(big.Int).Sub(stop, start), new(big.Int).Set(step)
	if step.Sign() < 0 {
		span.Neg(span)
		width.Neg(width)
	}
	if span.Sign() <= 0 {
		return new(big.Int)
	}
	span.Add(span, width).Sub(span, big.NewInt(1))
	return span.Quo(span, width)
}

// count returns the number of values, which are back to back.
func count(body []byte) (n int) {
	for len(body) > 0 {
		body = body[value.Size(body):]
		n++
	}
	return n
}

// appendTable appends the values of a whole table as one value. It may exceed the limits of a
// value.
func appendTable(dst, body []byte, dict bool) []byte {
	if dict {
		dst = msgp.AppendMapHeader(dst, uint32(count(body)/2))
	} else {
		dst = msgp.AppendArrayHeader(dst, uint32(count(body)))
	}
	return append(dst, body...)
}
