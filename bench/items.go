package bench

import "encoding/binary"

// hexDigits is the number of digits of a key's code: the part of a key that makes it different from
// others.
const hexDigits = 16

// fillVariants is the number of places at which the filling of a value may begin.
const fillVariants = 64

// items maps item numbers to keys and values.
//
// Guarantees: keys of different items differ (as long as there are no more than the shortest key's
// digits allow); a value begins with its key's code, so it differs from the value of any other
// key; both are printable ASCII without spaces, and they and their sizes depend on the seed and the
// item alone.
type items struct {
	keys, values Size
	offset       uint64
	fill         []byte
}

func newItems(keys, values Size, seed uint64) *items {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	it := &items{
		keys:   keys,
		values: values,
		offset: mix(seed),
		fill:   make([]byte, fillVariants+max(keys.Max, values.Max)),
	}
	random := stream{state: seed, items: uint64(len(alphabet))}
	for i := range it.fill {
		it.fill[i] = alphabet[random.draw()]
	}
	return it
}

// code is a bijection on the lowest 4 x n bits for every n: distinct items have distinct low
// digits.
func (it *items) code(item uint32) uint64 { return uint64(item)*gamma + it.offset }

// itemOf is code's inverse.
func (it *items) itemOf(code uint64) uint64 { return (code - it.offset) * gammaInverse }

func (it *items) keyBytes(item uint32) int { return it.keys.of(mix(it.code(item))) }

func (it *items) valueBytes(item uint32) int { return it.values.of(mix(^it.code(item))) }

// appendKey appends the item's key, keyBytes long.
func (it *items) appendKey(dst []byte, item uint32) []byte {
	return it.append(dst, it.keyBytes(item), it.code(item), 0)
}

// appendValue appends the item's value, valueBytes long.
func (it *items) appendValue(dst []byte, item uint32) []byte {
	code := it.code(item)
	return it.append(dst, it.valueBytes(item), code, code%fillVariants)
}

func (it *items) append(dst []byte, n int, code, fillAt uint64) []byte {
	var digits [hexDigits]byte
	putHex(digits[:], code)
	if n < hexDigits {
		return append(dst, digits[hexDigits-n:]...)
	}
	dst = append(dst, digits[:]...)
	return append(dst, it.fill[fillAt:fillAt+uint64(n-hexDigits)]...)
}

// isValue says whether b is the item's value.
func (it *items) isValue(b []byte, item uint32) bool {
	if len(b) != it.valueBytes(item) {
		return false
	}
	code := it.code(item)
	var digits [hexDigits]byte
	putHex(digits[:], code)
	if len(b) < hexDigits {
		return string(b) == string(digits[hexDigits-len(b):])
	}
	fillAt := code % fillVariants
	return string(b[:hexDigits]) == string(digits[:]) &&
		string(b[hexDigits:]) == string(it.fill[fillAt:fillAt+uint64(len(b)-hexDigits)])
}

// isSomeValue says whether b is the value of one of the first items; of values too short for a
// whole code it checks digits and size alone.
func (it *items) isSomeValue(b []byte, items int) bool {
	code, ok := parseHex(b[:min(len(b), hexDigits)])
	if !ok || len(b) < it.values.Min || len(b) > it.values.Max {
		return false
	}
	if len(b) < hexDigits {
		return true
	}
	item := it.itemOf(code)
	return item < uint64(items) && it.isValue(b, uint32(item))
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

// parseHex reads lower-case hexadecimal digits, at most sixteen.
func parseHex(b []byte) (code uint64, ok bool) {
	for _, digit := range b {
		switch {
		case digit >= '0' && digit <= '9':
			digit -= '0'
		case digit >= 'a' && digit <= 'f':
			digit -= 'a' - 10
		default:
			return 0, false
		}
		code = code<<4 | uint64(digit)
	}
	return code, true
}
