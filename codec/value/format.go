package value

import "encoding/binary"

// Limits of a value. A container is a MessagePack array or map; extension objects count by the
// array or map they hold.
const (
	MaxDepth      = 128      // nested containers
	MaxValueBytes = 32 << 20 // bytes of one whole value
	MaxElements   = 1 << 20  // elements of an array, items of a map

	MaxNumberBytes = 8192 // of an int beyond 64 bits, and of the text of a Decimal
)

// Extension codes. On the wire and on disk: do not change.
const (
	ExtBigInt      = 1
	ExtTuple       = 2
	ExtSet         = 3
	ExtFrozenSet   = 4
	ExtByteArray   = 5
	ExtOrderedDict = 6
	ExtDateTime    = 7
	ExtDate        = 8
	ExtTime        = 9
	ExtTimeDelta   = 10
	ExtDecimal     = 11
	ExtFraction    = 12
	ExtUUID        = 13
	ExtComplex     = 14
	ExtRange       = 15
	ExtSlice       = 16
	ExtDeque       = 17
	ExtCounter     = 18
	ExtDefaultDict = 19
	ExtSingleton   = 20
	ExtException   = 21
	ExtObject      = 22
	ExtAppFirst    = 64  // the first and
	ExtAppLast     = 127 // the last code of application types
)

// Flags of a datetime and a time. On the wire and on disk: do not change.
const (
	FlagFold  = 1 // the second of two equal readings
	FlagAware = 2 // with a zone
)

// Bounds of Python's dates and times: years 1 to 9999.
const (
	MinWallMicros = -62135596800_000000     // of a datetime's reading, in microseconds around 1970
	MaxWallMicros = 253402300800_000000 - 1 // the last
	MaxOrdinal    = 3652059                 // of a date, as date.toordinal counts
	EpochOrdinal  = 719163                  // of 1970-01-01
	MaxDeltaDays  = 999999999               // of a timedelta, either way

	microsPerSecond = 1_000_000
	secondsPerDay   = 86400
)

// First bytes of encodings, from the MessagePack specification.
const (
	leadExt8    = 0xC7
	leadExt16   = 0xC8
	leadExt32   = 0xC9
	leadUint64  = 0xCF
	leadFixExt1 = 0xD4
)

// Type is the Python type of a value: the code of an extension object, or one of those below.
type Type uint8

// The types that have no extension code. On no wire: TypeExt and TypeUnknown are only what LeadType
// returns.
const (
	TypeNil Type = 128 + iota
	TypeBool
	TypeInt // within 64 bits; beyond them ExtBigInt
	TypeFloat
	TypeStr
	TypeBytes
	TypeList
	TypeDict

	TypeExt     // to be looked up in the header
	TypeUnknown // the byte 0xC1, which MessagePack never uses
)

// lead tells what the first byte of an encoding says.
type lead struct {
	t        Type
	lenBytes uint8 // bytes of a length that follows
	n        uint8 // if no length follows: bytes of the payload, or elements
}

var leads = func() (table [256]lead) {
	for b := range 256 {
		switch {
		case b <= 0x7F, b >= 0xE0:
			table[b] = lead{t: TypeInt}
		case b <= 0x8F:
			table[b] = lead{t: TypeDict, n: uint8(b & 0x0F)}
		case b <= 0x9F:
			table[b] = lead{t: TypeList, n: uint8(b & 0x0F)}
		case b <= 0xBF:
			table[b] = lead{t: TypeStr, n: uint8(b & 0x1F)}
		}
	}
	table[0xC0] = lead{t: TypeNil}
	table[0xC1] = lead{t: TypeUnknown}
	table[0xC2], table[0xC3] = lead{t: TypeBool}, lead{t: TypeBool}
	table[0xCA], table[0xCB] = lead{t: TypeFloat, n: 4}, lead{t: TypeFloat, n: 8}
	for i := range 3 { // lengths of 1, 2 and 4 bytes
		table[0xC4+i] = lead{t: TypeBytes, lenBytes: 1 << i}
		table[0xC7+i] = lead{t: TypeExt, lenBytes: 1 << i}
		table[0xD9+i] = lead{t: TypeStr, lenBytes: 1 << i}
	}
	for i := range 2 {
		table[0xDC+i] = lead{t: TypeList, lenBytes: 2 << i}
		table[0xDE+i] = lead{t: TypeDict, lenBytes: 2 << i}
	}
	for i := range 4 {
		table[0xCC+i] = lead{t: TypeInt, n: 1 << i}
		table[0xD0+i] = lead{t: TypeInt, n: 1 << i}
	}
	for i := range 5 {
		table[0xD4+i] = lead{t: TypeExt, n: 1 << i}
	}
	return table
}()

// LeadType returns what the first byte of b tells, TypeUnknown if b is empty.
func LeadType(b []byte) Type {
	if len(b) == 0 {
		return TypeUnknown
	}
	return leads[b[0]].t
}

// header reads the header of the checked value at the front of b.
//
// The payload (or for lists and dicts the elements) begins at start; n is its length in bytes (or
// the number of elements or items).
func header(b []byte) (t Type, start, n int) {
	l := leads[b[0]]
	t, start, n = l.t, 1, int(l.n)
	switch l.lenBytes {
	case 0:
	case 1:
		start, n = 2, int(b[1])
	case 2:
		start, n = 3, int(binary.BigEndian.Uint16(b[1:]))
	default:
		start, n = 5, int(binary.BigEndian.Uint32(b[1:]))
	}
	if t == TypeExt {
		t = Type(b[start])
		start++
	}
	return t, start, n
}

// ReadExt opens the extension object at the front of b, which LeadType calls TypeExt and which need
// not be checked. Errors: ErrTruncated.
func ReadExt(b []byte) (code int8, payload, rest []byte, err error) {
	header, n := 2, uint64(0)
	switch {
	case b[0] >= leadFixExt1:
		n = 1 << (b[0] - leadFixExt1)
	case b[0] == leadExt8 && len(b) > 1:
		header, n = 3, uint64(b[1])
	case b[0] == leadExt16 && len(b) > 2:
		header, n = 4, uint64(binary.BigEndian.Uint16(b[1:]))
	case b[0] == leadExt32 && len(b) > 4:
		header, n = 6, uint64(binary.BigEndian.Uint32(b[1:]))
	default:
		return 0, nil, nil, ErrTruncated
	}
	if uint64(len(b)) < uint64(header)+n {
		return 0, nil, nil, ErrTruncated
	}
	end := header + int(n)
	return int8(b[header-1]), b[header:end], b[end:], nil
}

// Size returns the length in bytes of the checked value at the front of b. It walks lists and
// dicts; all else takes the same short time.
func Size(b []byte) int {
	at, left := 0, 1
	for ; left > 0; left-- {
		t, start, n := header(b[at:])
		at += start
		switch t {
		case TypeList:
			left += n
		case TypeDict:
			left += 2 * n
		default:
			at += n
		}
	}
	return at
}

// item is an opened value. For containers of any kind n elements (or items) begin at body; for all
// else n is the length of body.
type item struct {
	t    Type
	n    int
	body []byte
}

// open opens the checked value at the front of b. The elements of an exception and of an object
// begin with the class name; those of a deque and of a defaultdict are what they hold.
func open(b []byte) item {
	t, start, n := header(b)
	if t == TypeList || t == TypeDict {
		return item{t, n, b[start:]}
	}
	body := b[start : start+n]
	switch t {
	case ExtTuple,
		ExtSet,
		ExtFrozenSet,
		ExtOrderedDict,
		ExtCounter,
		ExtSlice,
		ExtRange,
		ExtFraction,
		ExtException,
		ExtObject:
		_, start, n = header(body)
		body = body[start:]
	case ExtDeque: // maxlen, then the items
		_, start, n = header(body)
		n, body = n-1, body[start:]
		body = body[Size(body):]
	case ExtDefaultDict: // factory and map
		_, start, _ = header(body)
		body = body[start:]
		body = body[Size(body):]
		_, start, n = header(body)
		body = body[start:]
	}
	return item{t, n, body}
}

// next returns the value at the front of b and what follows it.
func next(b []byte) (first, rest []byte) {
	n := Size(b)
	return b[:n], b[n:]
}
