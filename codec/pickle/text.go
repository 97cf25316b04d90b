package pickle

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cyberdb-fast/codec/value"
)

var newline = []byte{'\n'}

// maxDigits bounds the digits of a number: an int has at most 8192 bytes.
const maxDigits = 20000

// pythonNaN is float("nan"); Go's own has another bit set.
const pythonNaN = 0x7ff8000000000000

func validStr(b []byte) bool { return value.ValidStr(b) }

// decimal reads a decimal number within 64 bits.
func decimal(text []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	return n, err == nil && text[0] != '+'
}

// text does the opcodes of protocols 0 and 1 whose argument is a text.
func (u *Unpickler) text(arg []byte) error {
	line := bytes.TrimSuffix(arg, newline)
	switch u.op {
	case opInt, opLong:
		return u.intText(line)
	case opFloat:
		if len(line) > maxDigits {
			return u.fail("a float of %d digits", len(line))
		}
		f, err := strconv.ParseFloat(string(line), 64)
		if (err != nil && !math.IsInf(f, 0)) || bytes.ContainsAny(line, "xXpP_") {
			return u.fail("%s is no number", shown(line))
		}
		bits := math.Float64bits(f)
		if math.IsNaN(f) {
			bits = pythonNaN
		}
		u.push(u.add(node{kind: Float, bits: bits}))
		return nil
	case opUnicode:
		return u.rawUnicode(line)
	case opString:
		return u.quoted(line)
	}
	return u.ascii(arg)
}

// shown is the beginning of a text for an error.
func shown(text []byte) string {
	const most = 40
	if len(text) > most {
		return strconv.Quote(string(text[:most])) + "..."
	}
	return strconv.Quote(string(text))
}

// intText reads the number of INT, in which 00 and 01 are False and True, and LONG, which ends with
// an L.
func (u *Unpickler) intText(line []byte) error {
	switch {
	case u.op == opLong:
		line = bytes.TrimSuffix(line, []byte{'L'})
	case string(line) == "00" || string(line) == "01":
		u.push(u.add(node{kind: Bool, bits: uint64(line[1] - '0')}))
		return nil
	}
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return u.fail("no number")
	}
	if n, ok := decimal(line); ok {
		u.pushInt(n)
		return nil
	}
	if len(line) > maxDigits {
		return u.fail("an int of %d digits", len(line))
	}
	n, ok := new(big.Int).SetString(string(line), 10)
	if !ok || bytes.ContainsRune(line, '_') {
		return u.fail("%s is no number", shown(line))
	}
	return u.pushBig(n)
}

// long reads an int in little-endian two's complement.
func (u *Unpickler) long(arg []byte) error {
	negative := len(arg) > 0 && arg[len(arg)-1] >= 0x80
	digits, sign := arg, byte(0)
	if negative {
		sign = 0xFF
	}
	for len(digits) > 8 && digits[len(digits)-1] == sign {
		digits = digits[:len(digits)-1]
	}
	if len(digits) < 8 || len(digits) == 8 && digits[7]>>7 == sign>>7 {
		n := littleEndian(digits)
		if negative && len(digits) < 8 {
			n |= math.MaxUint64 << (8 * len(digits))
		}
		u.pushInt(int64(n))
		return nil
	}
	if len(digits) > 2*maxDigits {
		return u.fail("an int of %d bytes", len(digits))
	}
	n := slices.Clone(digits)
	slices.Reverse(n)
	x := new(big.Int).SetBytes(n)
	if negative {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(n))))
	}
	return u.pushBig(x)
}

// pushBig pushes an int of any size.
func (u *Unpickler) pushBig(x *big.Int) error {
	if x.IsInt64() {
		u.pushInt(x.Int64())
		return nil
	}
	start := len(u.made)
	all, err := value.AppendBigInt(u.made, x)
	if err != nil {
		return u.fail("%v", err)
	}
	u.made = all
	u.push(u.addMade(BigInt, start))
	return nil
}

// rawUnicode reads the raw-unicode-escape text of UNICODE: \u and \U with hexadecimal digits, all
// else is Latin-1.
func (u *Unpickler) rawUnicode(line []byte) error {
	start := len(u.made)
	for i := 0; i < len(line); i++ {
		digits := 0
		if line[i] == '\\' && i+1 < len(line) {
			digits = map[byte]int{'u': 4, 'U': 8}[line[i+1]]
		}
		if digits == 0 {
			u.made = utf8.AppendRune(u.made, rune(line[i]))
			continue
		}
		if i+2+digits > len(line) {
			return u.fail("an escape that is cut")
		}
		code, err := strconv.ParseUint(string(line[i+2:i+2+digits]), 16, 32)
		if err != nil || code > utf8.MaxRune {
			return u.fail("no character: %s", shown(line[i:i+2+digits]))
		}
		u.made = appendCodePoint(u.made, rune(code))
		i += 1 + digits
	}
	u.push(u.addMade(Str, start))
	return nil
}

// appendCodePoint appends a character, or the three bytes of a lone surrogate.
func appendCodePoint(dst []byte, c rune) []byte {
	if c >= 0xD800 && c < 0xE000 {
		return append(dst, 0xE0|byte(c>>12), 0x80|byte(c>>6)&0x3F, 0x80|byte(c)&0x3F)
	}
	return utf8.AppendRune(dst, c)
}

// quoted reads the argument of STRING: Python's literal of a byte string, which must be ASCII.
func (u *Unpickler) quoted(line []byte) error {
	line = bytes.TrimSpace(line)
	if len(line) < 2 || line[0] != line[len(line)-1] || line[0] != '\'' && line[0] != '"' {
		return u.fail("%s is not in quotes", shown(line))
	}
	start := len(u.made)
	rest := string(line[1 : len(line)-1])
	for rest != "" {
		var c byte
		var err error
		if c, rest, err = unescape(rest); err != nil {
			return u.fail("%v", err)
		}
		if c >= utf8.RuneSelf {
			return u.fail("text is not ASCII")
		}
		u.made = append(u.made, c)
	}
	u.push(u.addMade(Str, start))
	return nil
}

// unescape takes one byte from the front of a Python literal.
func unescape(text string) (c byte, rest string, err error) {
	if text[0] != '\\' || len(text) < 2 {
		return text[0], text[1:], nil
	}
	if at := strings.IndexByte(`\'"abfnrtv`, text[1]); at >= 0 {
		return "\\'\"\a\b\f\n\r\t\v"[at], text[2:], nil
	}
	if text[1] == 'x' && len(text) >= 4 {
		if n, err := strconv.ParseUint(text[2:4], 16, 8); err == nil {
			return byte(n), text[4:], nil
		}
	}
	return 0, "", fmt.Errorf("an escape that is not known: %s", shown([]byte(text[:2])))
}

// ascii reads the argument of BINSTRING.
func (u *Unpickler) ascii(arg []byte) error {
	for _, c := range arg {
		if c >= utf8.RuneSelf {
			return u.fail("text is not ASCII")
		}
	}
	u.push(u.view(Str, arg))
	return nil
}
