package bench

import "encoding/binary"

// hexDigits is the number of digits of a key's code: the part of a key that makes it different from others.
const hexDigits = 16

// fillVariants is the number of places at which the filling of a value may begin.
const fillVariants = 64

// items maps item numbers to keys and values.
//
// Guarantees: keys of different items differ (as long as there are no more than KeyBytes digits tell apart); a value begins with its key's
// code, so it is told from the value of any other key; both are printable ASCII and depend on the seed and the item alone.
type items struct {
	keyBytes, valueBytes int
	offset               uint64
	fill                 []byte
}

func newItems(keyBytes, valueBytes int, seed uint64) *items {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	it := &items{keyBytes: keyBytes, valueBytes: valueBytes, offset: mix(seed), fill: make([]byte, fillVariants+max(keyBytes, valueBytes))}
	random := stream{state: seed, items: uint64(len(alphabet))}
	for i := range it.fill {
		it.fill[i] = alphabet[random.draw()]
	}
	return it
}

// code is a bijection on the lowest 4 x n bits for every n: distinct items have distinct low digits.
func (it *items) code(item uint32) uint64 { return uint64(item)*gamma + it.offset }

// putKey writes the item's key, keyBytes long, to the front of dst.
func (it *items) putKey(dst []byte, item uint32) {
	it.put(dst[:it.keyBytes], it.code(item), 0)
}

// putValue writes the item's value, valueBytes long, to the front of dst.
func (it *items) putValue(dst []byte, item uint32) {
	code := it.code(item)
	it.put(dst[:it.valueBytes], code, code%fillVariants)
}

func (it *items) put(dst []byte, code, fillAt uint64) {
	if len(dst) < hexDigits {
		var digits [hexDigits]byte
		putHex(digits[:], code)
		copy(dst, digits[hexDigits-len(dst):])
		return
	}
	putHex(dst, code)
	copy(dst[hexDigits:], it.fill[fillAt:])
}

// isValue says whether b is the item's value.
func (it *items) isValue(b []byte, item uint32) bool {
	if len(b) != it.valueBytes {
		return false
	}
	code := it.code(item)
	var digits [hexDigits]byte
	putHex(digits[:], code)
	if len(b) < hexDigits {
		return string(b) == string(digits[hexDigits-len(b):])
	}
	fillAt := code % fillVariants
	return string(b[:hexDigits]) == string(digits[:]) && string(b[hexDigits:]) == string(it.fill[fillAt:fillAt+uint64(len(b)-hexDigits)])
}

// putHex writes code as sixteen lower-case hexadecimal digits.
func putHex(dst []byte, code uint64) {
	binary.BigEndian.PutUint64(dst, hex8(uint32(code>>32)))
	binary.BigEndian.PutUint64(dst[8:], hex8(uint32(code)))
}

// hex8 spreads the eight nibbles of x over the bytes of the result and turns each into its digit.
func hex8(x uint32) uint64 {
	n := uint64(x)
	n = (n | n<<16) & 0x0000ffff0000ffff
	n = (n | n<<8) & 0x00ff00ff00ff00ff
	n = (n | n<<4) & 0x0f0f0f0f0f0f0f0f
	letters := (n + 0x0606060606060606) >> 4 & 0x0101010101010101 // 1 where the nibble is above 9
	return n + 0x3030303030303030 + letters*('a'-'0'-10)
}
