package value

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
)

// class is a group of types whose values may equal, or be ordered among, each other. Its number is
// that of one of the types.
var classes = func() (table [256]Type) {
	for t := range 256 {
		table[t] = Type(t)
	}
	for _, t := range []Type{TypeBool, ExtBigInt, TypeFloat, ExtDecimal, ExtFraction, ExtComplex} {
		table[t] = TypeInt
	}
	table[ExtByteArray] = TypeBytes
	table[ExtFrozenSet] = ExtSet
	for _, t := range []Type{ExtOrderedDict, ExtCounter, ExtDefaultDict} {
		table[t] = TypeDict
	}
	return table
}()

// Equal reports whether Python's == holds between the checked values at the front of a and b. See
// VALUES.md, "Equality, hashing, order".
func Equal(a, b []byte) bool { return equal(a, b, nil) }

// equal is Equal; b is a part of what m keeps, if m is not nil.
func equal(a, b []byte, m *Matcher) bool {
	ta, sa, na := header(a)
	tb, sb, nb := header(b)
	if ta == tb && (ta == TypeStr || ta == TypeBytes) {
		return string(a[sa:sa+na]) == string(b[sb:sb+nb])
	}
	if ta == TypeInt && tb == TypeInt {
		x, xBig := integer(a)
		y, yBig := integer(b)
		return x == y && xBig == yBig
	}
	class := classes[ta]
	if class != classes[tb] {
		return false
	}
	if class == TypeInt {
		return m.equalNumbers(a, b, ta, tb)
	}
	return equalItems(open(a), open(b), class, m)
}

func equalItems(x, y item, class Type, m *Matcher) bool {
	switch class {
	case TypeNil:
		return true
	case TypeList, ExtTuple, ExtSlice, ExtDeque, ExtException, ExtObject:
		return x.n == y.n && equalElements(&x.body, &y.body, x.n, m)
	case TypeDict:
		return equalDicts(x, y, m)
	case ExtSet:
		return x.n == y.n && isSubset(x, y, m)
	case ExtDateTime, ExtTime:
		vx, awareX := instant(x.body)
		vy, awareY := instant(y.body)
		return vx == vy && awareX == awareY
	case ExtRange:
		return equalRanges(x, y)
	}
	return bytes.Equal(x.body, y.body) // str, bytes, and types with one encoding for each value
}

// equalElements compares n values at the front of a and b. If they are equal, it moves a and b
// after them, so that no list is walked once more for its size.
func equalElements(a, b *[]byte, n int, m *Matcher) bool {
	for range n {
		x, y := *a, *b
		tx, startX, nx := header(x)
		ty, startY, ny := header(y)
		if tx == TypeList && ty == TypeList {
			*a, *b = x[startX:], y[startY:]
			if nx != ny || !equalElements(a, b, nx, m) {
				return false
			}
			continue
		}
		if !equal(x, y, m) {
			return false
		}
		*a, *b = x[Size(x):], y[Size(y):]
	}
	return true
}

// equalNumbers is == between numbers, complex ones included.
func equalNumbers(a, b []byte, ta, tb Type) bool {
	if ta == ExtComplex || tb == ExtComplex {
		return equalComplex(a, b, ta, tb)
	}
	c, ordered := compareNumbers(a, b)
	return ordered && c == 0
}

func equalComplex(a, b []byte, ta, tb Type) bool {
	if ta != ExtComplex {
		a, b, tb = b, a, ta
	}
	re, im := complexParts(a)
	if tb == ExtComplex {
		re2, im2 := complexParts(b)
		return re == re2 && im == im2
	}
	var room [9]byte
	c, ordered := compareNumbers(appendFloat(room[:0], re), b)
	return im == 0 && ordered && c == 0
}

// complexParts reads the complex at the front of b.
func complexParts(b []byte) (re, im float64) {
	p := content(b)
	return math.Float64frombits(binary.BigEndian.Uint64(p)), math.Float64frombits(binary.BigEndian.Uint64(p[8:]))
}

// instant is what a datetime's or time's payload is compared by: the microseconds of the reading
// or, if aware, of the reading less the offset.
func instant(p []byte) (micros int64, aware bool) {
	micros = int64(binary.BigEndian.Uint64(p))
	if p[8]&FlagAware == 0 {
		return micros, false
	}
	return micros - zoneMicros(p[9:]), true
}

// memberSet collects the keys of a set or, if valuesBetween is set, of a dict with its values by
// key number. Keys that equal nothing are only counted.
func memberSet(x item, valuesBetween bool) (keys *keySet, values [][]byte) {
	keys = newKeySet()
	body := x.body
	for range x.n {
		var key []byte
		key, body = next(body)
		if _, err := keys.add(key); err != nil {
			keys.unequal++
		}
		if !valuesBetween {
			continue
		}
		if len(values) < len(keys.keys) {
			values = append(values, body)
		}
		body = body[Size(body):]
	}
	return keys, values
}

// isSubset reports whether y has all members of x.
func isSubset(x, y item, m *Matcher) bool {
	if x.n > y.n {
		return false
	}
	if x.n == 0 {
		return true
	}
	keys, _ := m.memberSet(y, false)
	defer m.release(keys)
	body := x.body
	for range x.n {
		var key []byte
		if key, body = next(body); keys.number(key) < 0 {
			return false
		}
	}
	return true
}

// equalDicts compares by content; two OrderedDicts also by order; in two Counters what is not there
// counts as 0.
func equalDicts(x, y item, m *Matcher) bool {
	if x.t == ExtCounter && y.t == ExtCounter {
		return equalCounters(x, y, m)
	}
	if x.n != y.n {
		return false
	}
	keys, values := m.memberSet(y, true)
	defer m.release(keys)
	if keys.unequal > 0 {
		return false
	}
	ordered := x.t == ExtOrderedDict && y.t == ExtOrderedDict
	body := x.body
	for i := range x.n {
		var key []byte
		key, body = next(body)
		j := keys.number(key)
		if j < 0 || ordered && i != j || !equal(body, values[j], m) {
			return false
		}
		body = body[Size(body):]
	}
	return true
}

func equalCounters(x, y item, m *Matcher) bool {
	differ := errors.New("the counts differ")
	return eachCount(x, y, m, func(a, b []byte) error {
		if !equal(a, b, m) {
			return differ
		}
		return nil
	}) == nil
}

// eachCount calls f with the counts in x and y of every key of x and then of every key of y alone;
// a count that is not there is 0.
func eachCount(x, y item, m *Matcher, f func(a, b []byte) error) error {
	zero := []byte{0}
	keysOfX, _ := memberSet(x, true)
	defer keysOfX.release()
	keysOfY, valuesOfY := m.memberSet(y, true)
	defer m.release(keysOfY)
	body := x.body
	for range x.n {
		var key []byte
		key, body = next(body)
		other := zero
		if j := keysOfY.number(key); j >= 0 {
			other = valuesOfY[j]
		}
		if err := f(body, other); err != nil {
			return err
		}
		body = body[Size(body):]
	}
	body = y.body
	for range y.n {
		var key []byte
		key, body = next(body)
		if keysOfX.number(key) < 0 {
			if err := f(zero, body); err != nil {
				return err
			}
		}
		body = body[Size(body):]
	}
	return nil
}
