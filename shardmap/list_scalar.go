package shardmap

import (
	"encoding/binary"
	"math"
)

// scalarKind says how an encoding can be compared without package value. Values of different kinds
// are never equal, except for scalarOther.
type scalarKind uint8

const (
	// Left to package value: bool, whole numbers beyond int64, float32, extensions, containers.
	scalarOther scalarKind = iota
	scalarInt              // a whole number that fits in an int64
	scalarStr
	scalarBytes
	scalarFloat // a float64; it may equal values of other kinds, so this is for sorting only
)

// kindOf returns the kind of an element for a search.
func kindOf(b []byte) scalarKind {
	if kind := sortKindOf(b); kind != scalarFloat {
		return kind
	}
	return scalarOther
}

// sortKindOf returns the kind of a sort key.
func sortKindOf(b []byte) scalarKind {
	switch lead := b[0]; {
	case lead < 0x80 || lead >= 0xe0:
		return scalarInt
	case lead >= 0xa0 && lead < 0xc0, lead >= 0xd9 && lead <= 0xdb:
		return scalarStr
	case lead >= 0xc4 && lead <= 0xc6:
		return scalarBytes
	case lead == 0xcb:
		return scalarFloat
	case lead == 0xcf && b[1] >= 0x80:
		return scalarOther
	case lead >= 0xcc && lead <= 0xd3:
		return scalarInt
	}
	return scalarOther
}

// intOf returns the number of an encoding of kind scalarInt.
func intOf(b []byte) int64 {
	switch b[0] {
	case 0xcc:
		return int64(b[1])
	case 0xcd:
		return int64(binary.BigEndian.Uint16(b[1:]))
	case 0xce:
		return int64(binary.BigEndian.Uint32(b[1:]))
	case 0xcf, 0xd3:
		return int64(binary.BigEndian.Uint64(b[1:]))
	case 0xd0:
		return int64(int8(b[1]))
	case 0xd1:
		return int64(int16(binary.BigEndian.Uint16(b[1:])))
	case 0xd2:
		return int64(int32(binary.BigEndian.Uint32(b[1:])))
	}
	return int64(int8(b[0]))
}

// floatOf returns the number of an encoding of kind scalarFloat.
func floatOf(b []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(b[1:])) }

// contentOf returns the bytes in an encoding of kind scalarStr or scalarBytes.
func contentOf(b []byte) []byte {
	switch b[0] {
	case 0xc4, 0xd9:
		return b[2:]
	case 0xc5, 0xda:
		return b[3:]
	case 0xc6, 0xdb:
		return b[5:]
	}
	return b[1:]
}
