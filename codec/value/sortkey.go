package value

import (
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"
)

// SortKey says by what part of an element a list is sorted: data that VALUES.md describes, never
// code. It is constant after ParseSortKey.
type SortKey struct {
	form sortForm
	path [][]byte   // of a path: the indexes
	of   []*SortKey // of the other forms: the operands
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

// The bounds of a sort key.
const (
	maxSortKeyBytes = 16 << 10
	maxSortKeyDepth = 16  // nested forms
	maxSortKeyParts = 128 // forms, and indexes of paths
)

// ParseSortKey reads the checked value at the front of b as a sort key. The indexes of paths are
// views into b.
//
// Errors: *Error ValueError that names what is wrong and where, as "sort key: in tuple[2]: unknown
// form 'upper'", or the bound that b exceeds.
func ParseSortKey(b []byte) (*SortKey, error) {
	if n := Size(b); n > maxSortKeyBytes {
		return nil, valueErrorf("sort key of %d bytes, at most %d", n, maxSortKeyBytes)
	}
	return parsedSortKey(b, sortKeyParser{depth: maxSortKeyDepth, parts: maxSortKeyParts})
}

// ParseStoredSortKey is ParseSortKey for a sort key that is on disk: it has no bounds, since an
// earlier version had none.
func ParseStoredSortKey(b []byte) (*SortKey, error) {
	return parsedSortKey(b, sortKeyParser{depth: math.MaxInt, parts: math.MaxInt})
}

func parsedSortKey(b []byte, p sortKeyParser) (*SortKey, error) {
	k, err := p.key(b)
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

// in puts a step before the place.
func (e *badSortKey) in(step string) *badSortKey {
	if e.where != "" {
		step += "." + e.where
	}
	return &badSortKey{step, e.what}
}

// sortKeyParser knows how many forms may be nested further, and how many parts may follow.
type sortKeyParser struct{ depth, parts int }

// part counts a part.
func (p *sortKeyParser) part() *badSortKey {
	if p.parts--; p.parts < 0 {
		return badSortKeyf("more than %d forms and indexes", maxSortKeyParts)
	}
	return nil
}

func (p *sortKeyParser) key(b []byte) (*SortKey, *badSortKey) {
	if err := p.part(); err != nil {
		return nil, err
	}
	x := open(b)
	switch {
	case x.t == TypeNil:
		return &SortKey{}, nil
	case x.t != TypeList:
		return nil, badSortKeyf("%s where None or a list belongs", TypeName(b))
	case x.n == 0:
		return nil, badSortKeyf("an empty list")
	}
	first, rest := next(x.body)
	if t, _, _ := header(first); t != TypeStr {
		return nil, badSortKeyf("%s where the name of a form belongs", TypeName(first))
	}
	name := string(content(first))
	form, known := sortForms[name]
	switch {
	case !known:
		return nil, badSortKeyf("unknown form %s", appendStrRepr(nil, content(first)))
	case form == sortPath:
		return p.path(rest, x.n-1)
	case form != sortTuple && x.n != 2:
		return nil, badSortKeyf("'%s' takes one sort key, not %d", name, x.n-1)
	}
	return p.inner(form, name, rest, x.n-1)
}

func (p *sortKeyParser) path(indexes []byte, n int) (*SortKey, *badSortKey) {
	k := &SortKey{form: sortPath}
	for i := range n {
		if err := p.part(); err != nil {
			return nil, err
		}
		var index []byte
		index, indexes = next(indexes)
		if t, _, _ := header(index); t == ExtSlice {
			return nil, badSortKeyf("a slice").in(fmt.Sprintf("path[%d]", i+1))
		}
		k.path = append(k.path, index)
	}
	return k, nil
}

// inner reads the n sort keys that a form works on.
func (p *sortKeyParser) inner(form sortForm, name string, keys []byte, n int) (*SortKey, *badSortKey) {
	if p.depth--; p.depth < 0 {
		return nil, badSortKeyf("nested deeper than %d", maxSortKeyDepth)
	}
	defer func() { p.depth++ }()
	k := &SortKey{form: form}
	for i := range n {
		var inner []byte
		inner, keys = next(keys)
		of, err := p.key(inner)
		if err != nil {
			return nil, err.in(fmt.Sprintf("%s[%d]", name, i+1))
		}
		if of.form == form && (form == sortLower || form == sortStr) {
			return of, nil // lower of lower, str of str: the same again
		}
		k.of = append(k.of, of)
	}
	return k, nil
}

// Spend is called before a sort key does work: work in bytes that are read or written once, and
// memory in bytes. Negative memory means that less was needed than announced. An error ends the
// computation of the key.
type Spend func(work, memory int) error

// formWork is the work of a form per element, in addition to its bytes.
const formWork = 16

// Append appends the value by which the element item is sorted. Errors, after which dst is
// unchanged: Python's, as *Error of the kinds KeyError, IndexError, TypeError, AttributeError,
// ValueError and OverflowError; those of spend.
func (k *SortKey) Append(dst, item []byte, spend Spend) ([]byte, error) {
	out, err := k.appendTo(dst, item[:Size(item)], spend)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func (k *SortKey) appendTo(dst, item []byte, spend Spend) ([]byte, error) {
	switch k.form {
	case sortItself, sortPath:
		part, err := k.part(item, spend)
		if err == nil {
			err = spend(len(part), len(part))
		}
		if err != nil {
			return dst, err
		}
		return append(dst, part...), nil
	case sortTuple:
		return k.appendTuple(dst, item, spend)
	}
	inner, err := k.of[0].view(item, spend)
	if err != nil {
		return dst, err
	}
	work, most := k.cost(inner)
	if err := spend(formWork+work, most); err != nil {
		return dst, err
	}
	start := len(dst)
	if dst, err = k.appendForm(dst, inner); err != nil {
		return dst, err
	}
	return dst, spend(0, len(dst)-start-most)
}

// cost returns the work of a form on a value, and the most bytes of its result.
func (k *SortKey) cost(inner []byte) (work, most int) {
	t, _, _ := header(inner)
	switch n := len(inner); {
	case k.form == sortLen:
		return n, 16
	case k.form == sortLower:
		return 2 * n, n + n/2 + 8
	case k.form == sortNeg && leads[inner[0]].t == TypeExt:
		return 32 * n, 2*n + 64
	case k.form == sortNeg:
		return n, 16
	case t == TypeStr || t == ExtDecimal:
		return n, n + 8
	default:
		return 8 * n, reprGrowth*n + 32
	}
}

// reprGrowth is how many times longer than its encoding a repr is at most: that of an application
// type without data is the longest.
const reprGrowth = 9

func (k *SortKey) appendForm(dst, inner []byte) ([]byte, error) {
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

// part returns what a path leads to, the element itself without one: without a copy if it stands in
// item.
func (k *SortKey) part(item []byte, spend Spend) (_ []byte, err error) {
	for _, index := range k.path {
		if err := spend(formWork+len(item), 0); err != nil {
			return nil, err
		}
		if item, err = itemAt(item, index); err != nil {
			return nil, err
		}
	}
	return item, nil
}

// view returns the value of k, without a copy if it is a part of item.
func (k *SortKey) view(item []byte, spend Spend) ([]byte, error) {
	if k.form == sortItself || k.form == sortPath {
		return k.part(item, spend)
	}
	return k.appendTo(nil, item, spend)
}

func (k *SortKey) appendTuple(dst, item []byte, spend Spend) (_ []byte, err error) {
	if err := spend(formWork, formWork); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = msgp.AppendArrayHeader(dst, uint32(len(k.of)))
	for _, part := range k.of {
		if dst, err = part.appendTo(dst, item, spend); err != nil {
			return dst, err
		}
	}
	return WrapExt(dst, start, ExtTuple), nil
}

func appendLowerOf(dst, b []byte) ([]byte, error) {
	x := open(b)
	switch x.t {
	case TypeStr:
		return msgp.AppendStringFromBytes(dst, appendLower(make([]byte, 0, x.n), x.body)), nil
	case TypeBytes, ExtByteArray:
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
	case TypeStr:
		return AppendInt(dst, int64(runeCount(x.body))), nil
	case TypeBytes,
		ExtByteArray,
		TypeList,
		TypeDict,
		ExtTuple,
		ExtSet,
		ExtFrozenSet,
		ExtOrderedDict,
		ExtDeque,
		ExtCounter,
		ExtDefaultDict:
		return AppendInt(dst, int64(x.n)), nil
	case ExtRange:
		n := spanOf(x).len()
		if !n.IsInt64() {
			return dst, &Error{Kind: OverflowError, Msg: "Python int too large to convert to C ssize_t"}
		}
		return AppendInt(dst, n.Int64()), nil
	}
	return dst, typeErrorf("object of type '%s' has no len()", TypeName(b))
}
