package syntax

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// maxDecimalDigits is the longest decimal int that Python reads.
const maxDecimalDigits = 4300

// number reads the number at the front.
func (l *lexer) number() (token, error) {
	start := l.at
	for l.at < len(l.src) {
		c := l.src[l.at]
		exponent := l.at > start && (c == '+' || c == '-') && lower(l.src[l.at-1]) == 'e' && !based(l.src[start:l.at])
		if !isDigit(c) && c != '_' && c != '.' && !isASCIILetter(c) && !exponent {
			break
		}
		l.at++
	}
	return token{number, start, l.src[start:l.at]}, nil
}

// based reports whether a number begins with 0x, 0o or 0b.
func based(s string) bool {
	return len(s) > 1 && s[0] == '0' && strings.IndexByte("xXoObB", s[1]) >= 0
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func isASCIILetter(c byte) bool { return lower(c) >= 'a' && lower(c) <= 'z' }

func hex(n uint32) string { return strconv.FormatUint(uint64(n), 16) }

// numberValue returns the encoding of a number.
func numberValue(s string) ([]byte, error) {
	if based(s) {
		return intValue(s, s[2:])
	}
	imaginary := lower(s[len(s)-1]) == 'j'
	digits := s
	if imaginary {
		digits = s[:len(s)-1]
	}
	if !imaginary && strings.IndexFunc(s, func(r rune) bool { return r != '_' && (r < '0' || r > '9') }) < 0 {
		if s[0] == '0' && strings.Trim(s, "0_") != "" {
			return nil, errors.New("an int does not begin with 0; write 0o17 for an octal one")
		}
		return intValue(s, s)
	}
	if !floatSyntax(digits) {
		return nil, fmt.Errorf("%.40q is not a number", s)
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(digits, "_", ""), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // 1e999 is inf in Python too
		return nil, fmt.Errorf("%.40q is not a number", s)
	}
	if imaginary {
		return value.AppendComplex(nil, complex(0, f)), nil
	}
	return msgp.AppendFloat64(nil, f), nil
}

// floatSyntax reports whether s is digits, point and exponent as Python has them.
func floatSyntax(s string) bool {
	for i := range len(s) {
		c := lower(s[i])
		switch {
		case isDigit(c), c == '.', c == 'e', (c == '+' || c == '-') && i > 0 && lower(s[i-1]) == 'e':
		case c == '_' && i > 0 && isDigit(s[i-1]) && i+1 < len(s) && isDigit(s[i+1]):
		default:
			return false
		}
	}
	return true
}

// intValue returns the encoding of an int, whose digits are given.
func intValue(s, digits string) ([]byte, error) {
	digits = strings.TrimPrefix(digits, "_")
	if digits == "" || strings.HasSuffix(digits, "_") || strings.Contains(digits, "__") {
		return nil, fmt.Errorf("%.40q is not a number", s)
	}
	digits = strings.ReplaceAll(digits, "_", "")
	base := 10
	if based(s) {
		base = map[byte]int{'x': 16, 'o': 8, 'b': 2}[lower(s[1])]
	}
	if base == 10 && len(digits) > maxDecimalDigits {
		return nil, fmt.Errorf("an int of %d digits; Python reads at most %d", len(digits), maxDecimalDigits)
	}
	if len(digits) > 8*value.MaxNumberBytes+64 && strings.Trim(digits[:len(digits)-8*value.MaxNumberBytes], "0") != "" {
		return nil, fmt.Errorf("an int has at most %d bytes", value.MaxNumberBytes)
	}
	n, ok := new(big.Int).SetString(digits, base)
	if !ok {
		return nil, fmt.Errorf("%.40q is not a number", s)
	}
	return value.AppendBigInt(nil, n)
}
