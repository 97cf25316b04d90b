package value

import (
	"bytes"
	"unicode/utf8"
)

// Check reports whether the front of b is one value as VALUES.md has it, and returns its length in
// bytes.
//
// Checked are form, limits, text, the payloads of extension objects, and that dict keys and set
// members are hashable and different. It allocates nothing for scalars, and for containers only in
// proportion to the bytes that are there, whatever a length field claims. Errors: ErrTruncated if b
// ends inside the value and more could complete it; *Error with TypeError for an unhashable key,
// with ValueError for all else (it unwraps to ErrTooLarge or ErrTooDeep where a limit was passed).
func Check(b []byte) (n int, err error) {
	if len(b) > 0 && (b[0] <= 0x7F || b[0] >= 0xE0) {
		return 1, nil
	}
	return checking{}.whole(b)
}

// CheckStored is Check for a value that is on disk, which an earlier version may have accepted. It
// accepts names of zones of any form.
func CheckStored(b []byte) (n int, err error) { return checking{stored: true}.whole(b) }

// checking says where the value that is checked stands.
type checking struct {
	depth  int  // in so many containers
	inKey  bool // in a dict key or a set member: making the canonical form of that will find equal members
	stored bool // on disk; see CheckStored
}

// inside returns c for what stands in a container at c.
func (c checking) inside() checking {
	c.depth++
	return c
}

// asKey returns c for a dict key or a set member in a container at c.
func (c checking) asKey() checking {
	c.inKey = true
	return c.inside()
}

func (c checking) whole(b []byte) (n int, err error) {
	n, err = c.value(b)
	if err != nil {
		return 0, err
	}
	if n > MaxValueBytes {
		return 0, tooLarge("%d bytes", n)
	}
	return n, nil
}

func tooLarge(format string, args ...any) *Error {
	err := valueErrorf("value too large: "+format, args...)
	err.limit = ErrTooLarge
	return err
}

func tooDeep() *Error {
	err := valueErrorf("value nested deeper than %d", MaxDepth)
	err.limit = ErrTooDeep
	return err
}

// value checks the value at the front of b and returns its length.
func (c checking) value(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, ErrTruncated
	}
	l := &leads[b[0]]
	start := 1 + int(l.lenBytes)
	if l.t == TypeExt {
		start++
	}
	if len(b) < start {
		return 0, ErrTruncated
	}
	t, start, n := header(b)
	if l.t == TypeExt && t > ExtAppLast {
		return 0, malformedf("extension code %d", int8(t))
	}
	switch t {
	case TypeList:
		size, err := c.elements(b[start:], n)
		return start + size, err
	case TypeDict:
		size, err := c.items(b[start:], n)
		return start + size, err
	}
	if n > MaxValueBytes {
		return 0, tooLarge("%d bytes", n)
	}
	end := start + n
	if len(b) < end {
		return 0, ErrTruncated
	}
	switch {
	case t == TypeStr:
		if !validBytes(b[start:end]) {
			return 0, malformedf("str is not UTF-8")
		}
	case t == TypeUnknown:
		return 0, malformedf("first byte 0xc1")
	case l.t == TypeExt:
		if err := c.payload(t, b[start:end]); err != nil {
			return 0, err
		}
	}
	return end, nil
}

// ValidStr reports whether b is the text of a str: UTF-8 in which lone surrogates may stand as
// their three bytes.
func ValidStr(b []byte) bool { return validBytes(b) }

// validBytes is validText for bytes.
func validBytes(b []byte) bool {
	for !utf8.Valid(b) {
		at := bytes.IndexByte(b, 0xED) // the lead byte of all surrogates
		for at >= 0 && (at+2 >= len(b) || b[at+1] < 0xA0) {
			next := bytes.IndexByte(b[at+1:], 0xED)
			if next < 0 {
				return false
			}
			at += 1 + next
		}
		if at < 0 || b[at+1] > 0xBF || b[at+2]&0xC0 != 0x80 || !utf8.Valid(b[:at]) {
			return false
		}
		b = b[at+3:]
	}
	return true
}

// enough checks a container's header: n elements of perElement values each, before rest.
func (c checking) enough(rest []byte, n, perElement int) error {
	switch {
	case n > MaxElements:
		return tooLarge("%d elements", n)
	case c.depth >= MaxDepth:
		return tooDeep()
	case n*perElement > len(rest):
		return ErrTruncated
	}
	return nil
}

// elements checks n values back to back.
func (c checking) elements(b []byte, n int) (size int, err error) {
	if err := c.enough(b, n, 1); err != nil {
		return 0, err
	}
	inside := c.inside()
	for range n {
		s := 1
		if size >= len(b) || (b[size] > 0x7F && b[size] < 0xE0) {
			if s, err = inside.value(b[size:]); err != nil {
				return 0, err
			}
		}
		size += s
	}
	return size, nil
}

// items checks n keys with their values.
func (c checking) items(b []byte, n int) (size int, err error) {
	if err := c.enough(b, n, 2); err != nil {
		return 0, err
	}
	keys := newKeySet()
	defer keys.release()
	key, inside := c.asKey(), c.inside()
	for range n {
		s, err := key.value(b[size:])
		if err != nil {
			return 0, err
		}
		if err := addDistinct(keys, b[size:size+s], "dict key"); err != nil {
			return 0, err
		}
		size += s
		if s, err = inside.value(b[size:]); err != nil {
			return 0, err
		}
		size += s
	}
	return size, nil
}

// members checks n hashable and different values back to back.
func (c checking) members(b []byte, n int) (size int, err error) {
	if err := c.enough(b, n, 1); err != nil {
		return 0, err
	}
	if c.inKey {
		return c.elements(b, n)
	}
	keys := newKeySet()
	defer keys.release()
	key := c.asKey()
	for range n {
		s, err := key.value(b[size:])
		if err != nil {
			return 0, err
		}
		if err := addDistinct(keys, b[size:size+s], "set member"); err != nil {
			return 0, err
		}
		size += s
	}
	return size, nil
}

func addDistinct(keys *keySet, b []byte, role string) error {
	added, err := keys.add(b)
	switch {
	case err != nil:
		return err
	case !added:
		return malformedf("%s twice", role)
	}
	return nil
}
