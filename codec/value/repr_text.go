package value

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// quoteFor is the quote that Python takes: single, unless only single ones are inside.
func quoteFor(text []byte) byte {
	if bytes.IndexByte(text, '\'') >= 0 && bytes.IndexByte(text, '"') < 0 {
		return '"'
	}
	return '\''
}

// appendEscaped appends what repr shows for a byte below 128 inside quotes.
func appendEscaped(dst []byte, c, quote byte) []byte {
	switch {
	case c == quote || c == '\\':
		return append(dst, '\\', c)
	case c == '\n':
		return append(dst, '\\', 'n')
	case c == '\r':
		return append(dst, '\\', 'r')
	case c == '\t':
		return append(dst, '\\', 't')
	case c < ' ' || c >= 0x7F:
		return appendHex(append(dst, '\\', 'x'), rune(c), 2)
	}
	return append(dst, c)
}

func appendHex(dst []byte, r rune, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[r>>shift&0xF])
	}
	return dst
}

func appendBytesRepr(dst, p []byte) []byte {
	quote := quoteFor(p)
	dst = append(dst, 'b', quote)
	for _, c := range p {
		dst = appendEscaped(dst, c, quote)
	}
	return append(dst, quote)
}

func appendStrRepr(dst, text []byte) []byte {
	quote := quoteFor(text)
	dst = append(dst, quote)
	for len(text) > 0 {
		r, n := decodeRune(text)
		switch {
		case n == 1:
			dst = appendEscaped(dst, text[0], quote)
		case isPrintable(r):
			dst = append(dst, text[:n]...)
		case r <= 0xFF:
			dst = appendHex(append(dst, '\\', 'x'), r, 2)
		case r <= 0xFFFF:
			dst = appendHex(append(dst, '\\', 'u'), r, 4)
		default:
			dst = appendHex(append(dst, '\\', 'U'), r, 8)
		}
		text = text[n:]
	}
	return append(dst, quote)
}

// decodeRune is utf8.DecodeRune for checked text, in which lone surrogates may stand.
func decodeRune(text []byte) (r rune, n int) {
	r, n = utf8.DecodeRune(text)
	if r == utf8.RuneError && n == 1 {
		return 0xD000 | rune(text[1]&0x3F)<<6 | rune(text[2]&0x3F), 3
	}
	return r, n
}

// runeCount is the number of code points of checked text.
func runeCount(text []byte) int {
	n := 0
	for _, c := range text {
		if c&0xC0 != 0x80 {
			n++
		}
	}
	return n
}

// isPrintable is str.isprintable of Python 3.11 (Unicode 14.0) for one code point.
func isPrintable(r rune) bool {
	i, found := slices.BinarySearch(unprintable[:], uint32(r))
	if found { // an even place begins a range of unprintable ones, an odd place follows one
		return i%2 == 1
	}
	return i%2 == 0
}
