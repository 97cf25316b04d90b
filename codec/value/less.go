package value

// Less reports whether Python's < holds between the checked values at the front of a and b. It
// allocates nothing for ints within 64 bits, floats, str and bytes. Errors: *Error TypeError, as
// "'<' not supported between instances of 'str' and 'int'"; ValueError for a Decimal nan.
func Less(a, b []byte) (bool, error) {
	ta, sa, na := header(a)
	tb, sb, nb := header(b)
	if ta == tb {
		switch ta {
		case TypeInt:
			return compareIntegrals(a, b, ta, tb) < 0, nil
		case TypeFloat:
			return float(a) < float(b), nil
		case TypeStr, TypeBytes:
			return string(a[sa:sa+na]) < string(b[sb:sb+nb]), nil
		}
	}
	class := classes[ta]
	if class != classes[tb] {
		if ta == ExtDateTime && tb == ExtDate || ta == ExtDate && tb == ExtDateTime {
			return false, typeErrorf("can't compare datetime.datetime to datetime.date")
		}
		return false, notOrdered("<", a, b)
	}
	if class == TypeInt {
		return lessNumbers(a, b, ta, tb)
	}
	x, y := open(a), open(b)
	switch class {
	case TypeList, ExtTuple, ExtDeque, ExtSlice:
		_, less, err := compareElements(&x, &y)
		return less, err
	case ExtSet:
		return x.n < y.n && isSubset(x, y, nil), nil
	case ExtDateTime, ExtTime:
		return lessInstants(x, y)
	case TypeBytes, ExtUUID:
		return string(x.body) < string(y.body), nil
	case ExtDate, ExtTimeDelta:
		return lessSigned(x.body, y.body), nil
	case TypeDict:
		if x.t == ExtCounter && y.t == ExtCounter {
			return lessCounters(x, y)
		}
	}
	return false, notOrdered("<", a, b)
}

func notOrdered(operator string, a, b []byte) *Error {
	return typeErrorf("'%s' not supported between instances of '%s' and '%s'", operator, TypeName(a), TypeName(b))
}

func lessNumbers(a, b []byte, ta, tb Type) (bool, error) {
	if ta == ExtComplex || tb == ExtComplex {
		return false, notOrdered("<", a, b)
	}
	c, ordered := compareNumbers(a, b)
	if !ordered && (ta == ExtDecimal || tb == ExtDecimal) {
		return false, invalidOperation()
	}
	return ordered && c < 0, nil
}

// invalidOperation is the text of decimal.InvalidOperation, for which there is no kind.
func invalidOperation() *Error { return valueErrorf("[<class 'decimal.InvalidOperation'>]") }

// compareElements is lexicographic: the first elements that differ decide, then the length. It says
// of values in values at once whether they are equal, and which one is less. If x and y are equal,
// it moves their bodies after their elements.
func compareElements(x, y *item) (same, less bool, err error) {
	for range min(x.n, y.n) {
		if same, less, err = compareFirst(&x.body, &y.body); !same {
			return false, less, err
		}
	}
	return x.n == y.n, x.n < y.n, nil
}

// compareFirst compares the values at the front of a and b. If they are equal, it moves a and b
// after them.
func compareFirst(a, b *[]byte) (same, less bool, err error) {
	ta, _, _ := header(*a)
	tb, _, _ := header(*b)
	if class := classes[ta]; class != classes[tb] ||
		class != TypeList && class != ExtTuple && class != ExtDeque && class != ExtSlice {
		if !Equal(*a, *b) {
			less, err = Less(*a, *b)
			return false, less, err
		}
		*a, *b = (*a)[Size(*a):], (*b)[Size(*b):]
		return true, false, nil
	}
	x, y := open(*a), open(*b)
	if same, less, err = compareElements(&x, &y); !same {
		return false, less, err
	}
	if ta == TypeList {
		*a, *b = x.body, y.body
	} else {
		*a, *b = (*a)[Size(*a):], (*b)[Size(*b):]
	}
	return true, false, nil
}

func lessInstants(x, y item) (bool, error) {
	vx, awareX := instant(x.body)
	vy, awareY := instant(y.body)
	if awareX != awareY {
		if x.t == ExtTime {
			return false, typeErrorf("can't compare offset-naive and offset-aware times")
		}
		return false, typeErrorf("can't compare offset-naive and offset-aware datetimes")
	}
	return vx < vy, nil
}

// lessSigned compares big-endian numbers of which only the first bit is a sign.
func lessSigned(x, y []byte) bool {
	if x[0]^y[0] >= 0x80 {
		return x[0] >= 0x80
	}
	return string(x) < string(y)
}

// lessCounters is the order of multisets: no count above the other's, and not all equal.
func lessCounters(x, y item) (bool, error) {
	atMost, same := true, true
	err := eachCount(x, y, nil, func(a, b []byte) error {
		if !atMost {
			return nil
		}
		less, err := Less(a, b)
		if e, ok := err.(*Error); ok && e.Kind == TypeError { //nolint:errorlint // Less returns it unwrapped
			return notOrdered("<=", a, b)
		}
		equal := Equal(a, b)
		atMost, same = less || equal, same && equal
		return err
	})
	return atMost && !same && err == nil, err
}
