package syntax

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
	"golang.org/x/text/unicode/runenames"

	"cyberdb-fast/codec/value"
)

// string reads the str or bytes at the front, whose prefix begins at start.
func (l *lexer) string(start int) (token, error) {
	prefix := strings.ToLower(l.src[start:l.at])
	switch prefix {
	case "", "r", "u", "b", "br", "rb":
	case "f", "fr", "rf", "t", "tr", "rt":
		return token{}, l.errorAt(start, "the shell has no formatted strings: write the text itself")
	default:
		return token{}, l.errorAt(start, "a string has no prefix "+l.src[start:l.at])
	}
	quote := l.src[l.at : l.at+1]
	if strings.HasPrefix(l.src[l.at:], quote+quote+quote) {
		quote += quote + quote
	}
	l.at += len(quote)
	for l.at < len(l.src) {
		switch {
		case strings.HasPrefix(l.src[l.at:], quote):
			l.at += len(quote)
			return token{text, start, l.src[start:l.at]}, nil
		case l.src[l.at] == '\\' && l.at+1 < len(l.src):
			l.at += 2
		case l.src[l.at] == '\n' && len(quote) == 1:
			return token{}, l.errorAt(start, "the string is not closed")
		default:
			l.at++
		}
	}
	err := l.errorAt(start, "the string is not closed")
	err.Incomplete = len(quote) == 3 || strings.HasSuffix(l.src, "\\\n")
	return token{}, err
}

// stringPart is one string literal.
type stringPart struct {
	bytes bool
	raw   bool
	body  string // between the quotes
}

func partOf(literal string) (p stringPart) {
	i := strings.IndexAny(literal, `"'`)
	prefix := strings.ToLower(literal[:i])
	p.bytes, p.raw = strings.Contains(prefix, "b"), strings.Contains(prefix, "r")
	quote := 1
	if s := literal[i:]; len(s) >= 6 && s[0] == s[1] && s[1] == s[2] {
		quote = 3
	}
	p.body = strings.ReplaceAll(literal[i+quote:len(literal)-quote], "\r\n", "\n")
	return p
}

// stringValue returns the encoding of string literals in a row.
func stringValue(literals []string) ([]byte, error) {
	var all []byte
	first := partOf(literals[0])
	for _, literal := range literals {
		p := partOf(literal)
		if p.bytes != first.bytes {
			return nil, errors.New("bytes and str cannot be joined")
		}
		if p.bytes && strings.IndexFunc(p.body, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
			return nil, errors.New("bytes have ASCII characters only: write others as \\xhh")
		}
		var err error
		if all, err = p.append(all); err != nil {
			return nil, err
		}
	}
	if first.bytes {
		return msgp.AppendBytes(nil, all), nil
	}
	return value.AppendStr(nil, string(all)), nil
}

// append appends the text or the bytes of a literal.
func (p stringPart) append(dst []byte) (_ []byte, err error) {
	if p.raw {
		return append(dst, p.body...), nil
	}
	for s := p.body; s != ""; {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...), nil
		}
		dst = append(dst, s[:i]...)
		if dst, s, err = p.escape(dst, s[i+1:]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// simpleEscapes are the escapes of one letter, and what they stand for.
var simpleEscapes = map[byte]string{
	'\n': "", '\\': "\\", '\'': "'", '"': "\"", 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t",
	'v': "\v",
}

// escape appends what an escape stands for, which s has without its backslash. rest follows it.
func (p stringPart) escape(dst []byte, s string) (_ []byte, rest string, err error) {
	c := s[0]
	if simple, ok := simpleEscapes[c]; ok {
		return append(dst, simple...), s[1:], nil
	}
	switch {
	case c >= '0' && c <= '7':
		n := 1
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		code, _ := strconv.ParseUint(s[:n], 8, 32)
		return p.appendCode(dst, uint32(code)), s[n:], nil
	case c == 'x':
		return p.hexEscape(dst, s, 2)
	case c == 'u' && !p.bytes:
		return p.hexEscape(dst, s, 4)
	case c == 'U' && !p.bytes:
		return p.hexEscape(dst, s, 8)
	case c == 'N' && !p.bytes:
		return namedEscape(dst, s)
	}
	return append(dst, '\\'), s, nil // Python keeps the backslash of an unknown escape
}

func (p stringPart) hexEscape(dst []byte, s string, digits int) ([]byte, string, error) {
	if len(s) <= digits {
		return nil, "", fmt.Errorf("\\%c needs %d hexadecimal digits", s[0], digits)
	}
	code, err := strconv.ParseUint(s[1:digits+1], 16, 32)
	if err != nil {
		return nil, "", fmt.Errorf("\\%c needs %d hexadecimal digits", s[0], digits)
	}
	if code > utf8.MaxRune {
		return nil, "", errors.New("\\U goes to 0010FFFF")
	}
	return p.appendCode(dst, uint32(code)), s[digits+1:], nil
}

// appendCode appends a byte, or a code point: a lone surrogate as its three bytes.
func (p stringPart) appendCode(dst []byte, code uint32) []byte {
	switch {
	case p.bytes:
		return append(dst, byte(code))
	case code >= 0xD800 && code < 0xE000:
		return append(dst, 0xED, 0x80|byte(code>>6)&0x3F, 0x80|byte(code)&0x3F)
	}
	return utf8.AppendRune(dst, rune(code))
}

// runeNames are the characters by their names, made when first needed.
var runeNames = sync.OnceValue(func() map[string]rune {
	names := make(map[string]rune)
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if name := runenames.Name(r); name != "" && name[0] != '<' {
			names[name] = r
		}
	}
	return names
})

// namedEscape appends the character of \N{name}.
func namedEscape(dst []byte, s string) ([]byte, string, error) {
	i := strings.IndexByte(s, '}')
	if i < 0 || !strings.HasPrefix(s, "N{") {
		return nil, "", errors.New("write \\N{name of a character}")
	}
	r, known := runeNames()[strings.ToUpper(s[2:i])]
	if !known {
		return nil, "", fmt.Errorf("no character is named %.60q", s[2:i])
	}
	return utf8.AppendRune(dst, r), s[i+1:], nil
}
