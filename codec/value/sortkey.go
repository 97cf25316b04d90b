package value

import (
	"fmt"

	"github.com/tinylib/msgp/msgp"
)

// SortKey tells what of an element a list is sorted by: data that VALUES.md describes, never code. It is constant after ParseSortKey.
type SortKey struct {
	form sortForm
	path [][]byte   // of a path: the indexes
	of   []*SortKey // of the other forms: what they work on
}

type sortForm uint8

const (
	sortItself sortForm = iota
	sortPath
	sortNeg
	sortLen
	sortLower
	sortStr
	sortTuple
)

var sortForms = map[string]sortForm{
	"path": sortPath, "neg": sortNeg, "len": sortLen, "lower": sortLower, "str": sortStr, "tuple": sortTuple,
}

// ParseSortKey reads the checked value at the front of b as a sort key. The indexes of paths are views into b.
//
// Errors: *Error ValueError that names what is wrong and where, as "sort key: in tuple[2]: unknown form 'upper'".
func ParseSortKey(b []byte) (*SortKey, error) {
	k, err := parseSortKey(b)
	if err != nil {
		return nil, valueErrorf("sort key: %s", err.text())
	}
	return k, nil
}

// badSortKey is what is wrong, and where: the forms from the outermost inwards.
type badSortKey struct{ where, what string }

func (e *badSortKey) text() string {
	if e.where == "" {
		return e.what
	}
	return "in " + e.where + ": " + e.what
}

func badSortKeyf(format string, args ...any) *badSortKey {
	return &badSortKey{what: fmt.Sprintf(format, args...)}
}

// in puts a step in front of the place.
func (e *badSortKey) in(step string) *badSortKey {
	if e.where != "" {
		step += "." + e.where
	}
	return &badSortKey{step, e.what}
}

func parseSortKey(b []byte) (*SortKey, *badSortKey) {
	x := open(b)
	switch {
	case x.t == typNil:
		return &SortKey{}, nil
	case x.t != typList:
		return nil, badSortKeyf("%s where None or a list belongs", TypeName(b))
	case x.n == 0:
		return nil, badSortKeyf("an empty list")
	}
	first, rest := next(x.body)
	if t, _, _ := header(first); t != typStr {
		return nil, badSortKeyf("%s where the name of a form belongs", TypeName(first))
	}
	name := string(content(first))
	form, known := sortForms[name]
	switch {
	case !known:
		return nil, badSortKeyf("unknown form %s", appendStrRepr(nil, content(first)))
	case form == sortPath:
		return parsePath(rest, x.n-1)
	case form != sortTuple && x.n != 2:
		return nil, badSortKeyf("'%s' takes one sort key, not %d", name, x.n-1)
	}
	return parseInner(form, name, rest, x.n-1)
}

func parsePath(indexes []byte, n int) (*SortKey, *badSortKey) {
	k := &SortKey{form: sortPath}
	for i := range n {
		var index []byte
		index, indexes = next(indexes)
		if t, _, _ := header(index); t == ExtSlice {
			return nil, badSortKeyf("a slice").in(fmt.Sprintf("path[%d]", i+1))
		}
		k.path = append(k.path, index)
	}
	return k, nil
}

// parseInner reads the n sort keys that a form works on.
func parseInner(form sortForm, name string, keys []byte, n int) (*SortKey, *badSortKey) {
	k := &SortKey{form: form}
	for i := range n {
		var inner []byte
		inner, keys = next(keys)
		of, err := parseSortKey(inner)
		if err != nil {
			return nil, err.in(fmt.Sprintf("%s[%d]", name, i+1))
		}
		k.of = append(k.of, of)
	}
	return k, nil
}

// Append appends the value that the element item is sorted by. Errors: Python's, as *Error of the kinds KeyError, IndexError, TypeError,
// AttributeError, ValueError and OverflowError; dst is returned as it was.
func (k *SortKey) Append(dst, item []byte) ([]byte, error) {
	out, err := k.appendTo(dst, item[:Size(item)])
	if err != nil {
		return dst, err
	}
	return out, nil
}

func (k *SortKey) appendTo(dst, item []byte) (_ []byte, err error) {
	switch k.form {
	case sortItself:
		return append(dst, item...), nil
	case sortPath:
		for _, index := range k.path {
			if item, err = itemAt(item, index); err != nil {
				return dst, err
			}
		}
		return append(dst, item...), nil
	case sortTuple:
		return k.appendTuple(dst, item)
	}
	inner, err := k.of[0].view(item)
	if err != nil {
		return dst, err
	}
	switch k.form {
	case sortNeg:
		return appendNegative(dst, inner)
	case sortLen:
		return appendLen(dst, inner)
	case sortLower:
		return appendLowerOf(dst, inner)
	}
	text, err := appendStr(nil, inner)
	return msgp.AppendStringFromBytes(dst, text), err
}

// view returns the value of k, without a copy where it is a part of item.
func (k *SortKey) view(item []byte) ([]byte, error) {
	if k.form == sortItself {
		return item, nil
	}
	return k.appendTo(nil, item)
}

func (k *SortKey) appendTuple(dst, item []byte) (_ []byte, err error) {
	start := len(dst)
	dst = msgp.AppendArrayHeader(dst, uint32(len(k.of)))
	for _, part := range k.of {
		if dst, err = part.appendTo(dst, item); err != nil {
			return dst, err
		}
	}
	return wrapExt(dst, start, ExtTuple), nil
}

func appendLowerOf(dst, b []byte) ([]byte, error) {
	x := open(b)
	switch x.t {
	case typStr:
		return msgp.AppendStringFromBytes(dst, appendLower(nil, x.body)), nil
	case typBytes, ExtByteArray:
		start := len(dst)
		dst = append(dst, b[:Size(b)]...)
		text := dst[len(dst)-len(x.body):]
		for i, c := range text {
			if 'A' <= c && c <= 'Z' {
				text[i] = c + 'a' - 'A'
			}
		}
		return dst[:start+Size(b)], nil
	}
	return dst, &Error{Kind: AttributeError, Msg: fmt.Sprintf("'%s' object has no attribute 'lower'", TypeName(b))}
}

func appendLen(dst, b []byte) ([]byte, error) {
	x := open(b)
	switch x.t {
	case typStr:
		return appendInt(dst, int64(runeCount(x.body))), nil
	case typBytes, ExtByteArray, typList, typDict, ExtTuple, ExtSet, ExtFrozenSet, ExtOrderedDict, ExtDeque, ExtCounter, ExtDefaultDict:
		return appendInt(dst, int64(x.n)), nil
	case ExtRange:
		n := spanOf(x).len()
		if !n.IsInt64() {
			return dst, &Error{Kind: OverflowError, Msg: "Python int too large to convert to C ssize_t"}
		}
		return appendInt(dst, n.Int64()), nil
	}
	return dst, typeErrorf("object of type '%s' has no len()", TypeName(b))
}
