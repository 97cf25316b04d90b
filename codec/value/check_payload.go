package value

import (
	"encoding/binary"
	"errors"
)

// payload checks the payload of an extension object.
func (c checking) payload(t Type, p []byte) error {
	if fixed := fixedSizes[t]; fixed != 0 && len(p) != int(fixed) {
		return malformedf("%s of %d bytes", typeNames[t], len(p))
	}
	switch t {
	case ExtBigInt:
		return checkBigInt(p)
	case ExtTuple, ExtSlice, ExtRange, ExtException, ExtObject, ExtDeque, ExtDefaultDict, ExtSet, ExtFrozenSet:
		return whollyInside(c.array(t, p))
	case ExtOrderedDict, ExtCounter:
		return whollyInside(c.mapping(p))
	case ExtFraction:
		return whollyInside(checkFraction(p))
	case ExtByteArray, ExtUUID, ExtComplex:
		return nil
	case ExtDateTime, ExtTime:
		return c.clock(t, p)
	case ExtDate:
		if n := int32(binary.BigEndian.Uint32(p)); n < 1 || n > MaxOrdinal {
			return malformedf("date ordinal %d", n)
		}
		return nil
	case ExtTimeDelta:
		return checkTimeDelta(p)
	case ExtDecimal:
		if _, ok := parseDecimal(p); !ok {
			return malformedf("no text of a Decimal")
		}
		return nil
	case ExtSingleton:
		if int(p[0]) >= len(singletons) {
			return malformedf("singleton %d", p[0])
		}
		return nil
	}
	if t >= ExtAppFirst && t <= ExtAppLast {
		return nil
	}
	return malformedf("extension code %d", int8(t))
}

// fixedSizes holds the bytes of payloads that have one size.
var fixedSizes = [256]uint8{ExtDate: 4, ExtTimeDelta: 12, ExtUUID: 16, ExtComplex: 16, ExtSingleton: 1}

// whollyInside turns ErrTruncated into an error, since more bytes cannot make a payload longer.
func whollyInside(err error) error {
	if errors.Is(err, ErrTruncated) {
		return malformedf("an extension object ends inside a value")
	}
	return err
}

// checkBigInt checks that an int is beyond 64 bits and in its shortest form.
func checkBigInt(p []byte) error {
	switch {
	case len(p) > MaxNumberBytes:
		return tooLarge("int of %d bytes", len(p))
	case len(p) <= 8, len(p) == 9 && p[0] == 0:
		return malformedf("an int within 64 bits as an extension object")
	case p[0] == 0 && p[1] < 0x80, p[0] == 0xFF && p[1] >= 0x80:
		return malformedf("an int longer than it need be")
	}
	return nil
}

// openContainer reads the header of the array or map that a payload begins with.
func openContainer(p []byte, want Type) (n int, rest []byte, err error) {
	if len(p) == 0 {
		return 0, nil, ErrTruncated
	}
	l := leads[p[0]]
	if l.t != want {
		return 0, nil, malformedf("an extension object that does not hold the container it should")
	}
	if len(p) < 1+int(l.lenBytes) {
		return 0, nil, ErrTruncated
	}
	_, start, n := header(p)
	return n, p[start:], nil
}

// fills reports whether a value of size bytes fills the payload.
func fills(p []byte, size int) error {
	if len(p) != size {
		return malformedf("%d bytes after the value in an extension object", len(p)-size)
	}
	return nil
}

func (c checking) mapping(p []byte) error {
	n, rest, err := openContainer(p, TypeDict)
	if err != nil {
		return err
	}
	size, err := c.items(rest, n)
	if err != nil {
		return err
	}
	return fills(rest, size)
}

// array checks a payload that is one array.
func (c checking) array(t Type, p []byte) error {
	n, rest, err := openContainer(p, TypeList)
	if err != nil {
		return err
	}
	if minimum, exact := arity(t); n < minimum || exact && n > minimum {
		return malformedf("%s as an array of %d", extName(t), n)
	}
	var size int
	if t == ExtSet || t == ExtFrozenSet {
		size, err = c.members(rest, n)
	} else {
		size, err = c.elements(rest, n)
	}
	if err != nil {
		return err
	}
	if err := fills(rest, size); err != nil {
		return err
	}
	return checkParts(t, rest, n)
}

// arity tells how many elements the array of an extension object has.
func arity(t Type) (minimum int, exact bool) {
	switch t {
	case ExtSlice, ExtRange:
		return 3, true
	case ExtObject, ExtDefaultDict, ExtFraction:
		return 2, true
	case ExtException, ExtDeque:
		return 1, false
	}
	return 0, false
}

func extName(t Type) string {
	switch t {
	case ExtException:
		return "exception"
	case ExtObject:
		return "object"
	}
	return typeNames[t]
}

// checkParts checks the types of the n well-formed elements.
func checkParts(t Type, elements []byte, n int) error {
	var first Type
	var rest []byte
	if n > 0 {
		first, _, _ = header(elements)
		rest = elements[Size(elements):]
	}
	switch t {
	case ExtRange:
		return checkRange(elements)
	case ExtException:
		if first != TypeStr {
			return malformedf("exception without a name")
		}
	case ExtObject:
		if second, _, _ := header(rest); first != TypeStr || second != TypeBytes {
			return malformedf("object that is not a name and bytes")
		}
	case ExtDefaultDict:
		if second, _, _ := header(rest); first != TypeStr && first != TypeNil || second != TypeDict {
			return malformedf("defaultdict that is not a factory and a map")
		}
	case ExtDeque:
		if first == TypeNil {
			return nil
		}
		if first != TypeInt {
			return malformedf("deque without a maxlen")
		}
		if most, isBig := integer(elements); isBig || most < int64(n-1) {
			return malformedf("deque of %d elements that is longer than its maxlen", n-1)
		}
	}
	return nil
}

func checkRange(elements []byte) error {
	var part []byte
	for range 3 {
		part, elements = next(elements)
		if t, _, _ := header(part); t != TypeInt && t != ExtBigInt {
			return malformedf("range of %s", TypeName(part))
		}
	}
	if t, _, _ := header(part); t == TypeInt {
		if step, _ := integer(part); step == 0 {
			return malformedf("range with step 0")
		}
	}
	return nil
}

// checkFraction checks numerator and denominator. That they are in lowest terms is not checked, and
// nothing relies on it.
func checkFraction(p []byte) error {
	n, rest, err := openContainer(p, TypeList)
	if err != nil {
		return err
	}
	if n != 2 {
		return malformedf("Fraction as an array of %d", n)
	}
	var part []byte
	for range 2 {
		size, err := checking{depth: MaxDepth}.value(rest)
		if err != nil {
			return err
		}
		part, rest = rest[:size], rest[size:]
		if t, _, _ := header(part); t != TypeInt && t != ExtBigInt {
			return malformedf("Fraction of %s", TypeName(part))
		}
	}
	if sign(part) <= 0 {
		return malformedf("Fraction with a denominator that is not positive")
	}
	return fills(rest, 0)
}

func (c checking) clock(t Type, p []byte) error {
	if len(p) < 9 {
		return malformedf("%s of %d bytes", typeNames[t], len(p))
	}
	lowest, highest := int64(MinWallMicros), int64(MaxWallMicros)
	if t == ExtTime {
		lowest, highest = 0, secondsPerDay*microsPerSecond-1
	}
	if micros := int64(binary.BigEndian.Uint64(p)); micros < lowest || micros > highest {
		return malformedf("%s out of range", typeNames[t])
	}
	flags, zone := p[8], p[9:]
	switch {
	case flags > FlagFold|FlagAware:
		return malformedf("%s with flags 0x%02x", typeNames[t], flags)
	case flags&FlagAware == 0:
		return fills(zone, 0)
	case len(zone) < 8:
		return malformedf("%s of %d bytes", typeNames[t], len(p))
	}
	const day = secondsPerDay * microsPerSecond
	offset := zoneMicros(zone)
	if offset <= -day || offset >= day || binary.BigEndian.Uint32(zone[4:]) >= microsPerSecond {
		return malformedf("%s with an offset of a day or more", typeNames[t])
	}
	return c.zoneName(zone[8:])
}

// zoneMicros is the offset from UTC in microseconds of the zone part of an aware datetime or time.
func zoneMicros(zone []byte) int64 {
	return int64(int32(binary.BigEndian.Uint32(zone)))*microsPerSecond + int64(binary.BigEndian.Uint32(zone[4:]))
}

func checkTimeDelta(p []byte) error {
	days := int32(binary.BigEndian.Uint32(p))
	seconds, micros := binary.BigEndian.Uint32(p[4:]), binary.BigEndian.Uint32(p[8:])
	if days < -MaxDeltaDays || days > MaxDeltaDays || seconds >= secondsPerDay || micros >= microsPerSecond {
		return malformedf("timedelta not in normal form")
	}
	return nil
}
