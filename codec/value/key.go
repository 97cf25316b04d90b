package value

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"github.com/tinylib/msgp/msgp"
)

// Key returns the canonical form of the checked value at the front of b as a dict key: the same
// bytes for all keys that are equal, others for others. Size works on it.
//
// For str, bytes, int and None in their shortest encoding it is b itself, without what follows, and
// nothing is copied; all else is made in scratch[:0], or in new memory if that does not suffice.
// unequal says that the key equals nothing: it is a nan, or holds one. Errors: *Error TypeError
// "unhashable type: 'list'", or for a Decimal sNaN "Cannot hash a signaling NaN value"; ValueError
// for an int of more than 1024 bytes, a Fraction of such, or a key nested deeper than 16.
func Key(b, scratch []byte) (key []byte, unequal bool, err error) {
	c := b[0]
	switch {
	case c <= 0x7F || c >= 0xE0 || c == 0xC0:
		return b[:1], false, nil
	case c >= 0xA0 && c <= 0xBF:
		return b[:1+int(c&0x1F)], false, nil
	}
	if t, start, n := header(b); isShortest(b, t, n) {
		return b[:start+n], false, nil
	}
	return appendKey(scratch[:0], b, 0)
}

// isShortest reports whether b is a str, bytes or an int with the shortest header.
func isShortest(b []byte, t Type, n int) bool {
	switch t {
	case TypeStr, TypeBytes:
		switch leads[b[0]].lenBytes {
		case 0:
			return true
		case 1:
			return t == TypeBytes || n >= 1<<5
		case 2:
			return n >= 1<<8
		}
		return n >= 1<<16
	case TypeInt:
		v, isBig := integer(b)
		switch b[0] {
		case 0xCC:
			return v > math.MaxInt8
		case 0xCD:
			return v > math.MaxUint8
		case 0xCE:
			return v > math.MaxUint16
		case leadUint64:
			return isBig || v > math.MaxUint32
		case 0xD0:
			return v < -1<<5
		case 0xD1:
			return v < math.MinInt8
		case 0xD2:
			return v < math.MinInt16
		case 0xD3:
			return v < math.MinInt32
		}
		return true
	}
	return false
}

// maxKeyDepth bounds the nested tuples, frozensets and exceptions in a key.
const maxKeyDepth = 16

// appendKey appends the canonical form of b, which stands inside depth containers of a key.
func appendKey(dst, b []byte, depth int) (_ []byte, unequal bool, err error) {
	if depth > maxKeyDepth {
		err := valueErrorf("key nested deeper than %d", maxKeyDepth)
		err.limit = ErrTooDeep
		return dst, false, err
	}
	x := open(b)
	switch x.t {
	case TypeNil:
		return msgp.AppendNil(dst), false, nil
	case TypeStr:
		return msgp.AppendStringFromBytes(dst, x.body), false, nil
	case TypeBytes:
		return msgp.AppendBytes(dst, x.body), false, nil
	case TypeBool, TypeInt, ExtBigInt, TypeFloat, ExtDecimal, ExtFraction, ExtComplex:
		return appendNumberKey(dst, b, x)
	case ExtTuple, ExtException:
		return appendTupleKey(dst, x, depth+1)
	case ExtFrozenSet:
		return appendFrozenSetKey(dst, x, depth+1)
	case ExtDateTime, ExtTime:
		return appendInstantKey(dst, x), false, nil
	case ExtRange:
		return appendRangeKey(dst, x), false, nil
	case ExtObject:
		return appendObjectKey(dst, x), false, nil
	case TypeList, TypeDict, ExtSet, ExtByteArray, ExtOrderedDict, ExtSlice, ExtDeque, ExtCounter, ExtDefaultDict:
		return dst, false, unhashable(b)
	}
	return AppendExt(dst, int8(x.t), x.body), false, nil // one encoding for each value
}

// appendTupleKey serves tuples and exceptions, which differ by their code.
func appendTupleKey(dst []byte, x item, depth int) (_ []byte, unequal bool, err error) {
	start := len(dst)
	dst = msgp.AppendArrayHeader(dst, uint32(x.n))
	body := x.body
	for range x.n {
		var differs bool
		if dst, differs, err = appendKey(dst, body, depth); err != nil {
			return dst, false, err
		}
		unequal = unequal || differs
		body = body[Size(body):]
	}
	return WrapExt(dst, start, int8(x.t)), unequal, nil
}

// memberSpan says where the canonical form of a member stands.
type memberSpan struct {
	from, to uint32
	unequal  bool // the member equals nothing
}

// appendFrozenSetKey puts the members in the order of their bytes. Errors: those of appendKey;
// ValueError for equal members.
func appendFrozenSetKey(dst []byte, x item, depth int) (_ []byte, unequal bool, err error) {
	start := len(dst)
	dst = msgp.AppendArrayHeader(dst, uint32(x.n))
	first := len(dst)
	members := make([]memberSpan, x.n)
	body := x.body
	for i := range members {
		member := &members[i]
		member.from = uint32(len(dst) - first)
		if dst, member.unequal, err = appendKey(dst, body, depth); err != nil {
			return dst, false, err
		}
		member.to = uint32(len(dst) - first)
		unequal = unequal || member.unequal
		body = body[Size(body):]
	}
	if err := sortMembers(dst[first:], members); err != nil {
		return dst, false, err
	}
	return WrapExt(dst, start, ExtFrozenSet), unequal, nil
}

// sortMembers puts the members of a set, which are back to back in forms, in the order of their
// bytes. Errors: ValueError for equal members.
func sortMembers(forms []byte, members []memberSpan) error {
	byBytes := func(a, b memberSpan) int { return bytes.Compare(forms[a.from:a.to], forms[b.from:b.to]) }
	sorted := slices.IsSortedFunc(members, byBytes)
	if !sorted {
		slices.SortFunc(members, byBytes)
	}
	for i := 1; i < len(members); i++ {
		if !members[i].unequal && byBytes(members[i-1], members[i]) == 0 {
			return malformedf("set member twice")
		}
	}
	if sorted {
		return nil
	}
	unsorted := bytes.Clone(forms)
	forms = forms[:0]
	for _, member := range members {
		forms = append(forms, unsorted[member.from:member.to]...)
	}
	return nil
}

// appendInstantKey leaves out fold and zone: an aware reading stands in UTC.
func appendInstantKey(dst []byte, x item) []byte {
	micros, aware := instant(x.body)
	n, flags := 9, byte(0)
	if aware {
		n, flags = 17, FlagAware
	}
	dst = binary.BigEndian.AppendUint64(AppendExtHeader(dst, int8(x.t), n), uint64(micros))
	dst = append(dst, flags)
	if aware {
		dst = binary.BigEndian.AppendUint64(dst, 0)
	}
	return dst
}

func appendRangeKey(dst []byte, x item) []byte {
	r := spanOf(x).canonical()
	start := len(dst)
	dst = appendAnyInt(msgp.AppendArrayHeader(dst, 3), r.start)
	return WrapExt(appendAnyInt(appendAnyInt(dst, r.stop), r.step), start, ExtRange)
}

func appendObjectKey(dst []byte, x item) []byte {
	start := len(dst)
	dst = msgp.AppendStringFromBytes(msgp.AppendArrayHeader(dst, 2), content(x.body))
	data := x.body[Size(x.body):]
	return WrapExt(msgp.AppendBytes(dst, content(data)), start, ExtObject)
}
