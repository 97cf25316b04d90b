package syntax

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is the kind of a token.
type kind uint8

const (
	end     kind = iota // of the text
	newline             // or ;
	name
	number
	text
	operator
)

// token is a piece of the text.
type token struct {
	kind kind
	at   int
	text string // as it stands there
}

// MaxTextBytes is the longest text that Parse takes.
const MaxTextBytes = 64 << 20

// lexer cuts a text into tokens.
type lexer struct {
	src  string
	at   int
	open []token // brackets
}

// operators are the operators of Python, longer ones first.
var operators = []string{
	"**=", "//=", ">>=", "<<=", "...",
	"+=", "-=", "*=", "/=", "%=", "@=", "&=", "|=", "^=", ":=", "==", "!=", "<=", ">=", "->", "**", "//", "<<", ">>",
	"(", ")", "[", "]", "{", "}", ",", ":", ".", "=", "+", "-", "*", "/", "%", "@", "&", "|", "^", "~", "<", ">", "!",
}

// next returns the next token.
func (l *lexer) next() (token, error) {
	if err := l.skipSpace(); err != nil {
		return token{}, err
	}
	start := l.at
	if start == len(l.src) {
		if n := len(l.open); n > 0 {
			err := l.errorAt(l.open[n-1].at, "'"+l.open[n-1].text+"' was never closed")
			err.Incomplete = true
			return token{}, err
		}
		return token{end, start, ""}, nil
	}
	c := l.src[start]
	switch {
	case c == '\n' || c == ';':
		l.at++
		return token{newline, start, l.src[start:l.at]}, nil
	case c >= '0' && c <= '9' || c == '.' && start+1 < len(l.src) && isDigit(l.src[start+1]):
		return l.number()
	case c == '"' || c == '\'':
		return l.string(start)
	}
	if n := nameLength(l.src[start:]); n > 0 {
		l.at += n
		if l.at < len(l.src) && n <= 2 && (l.src[l.at] == '"' || l.src[l.at] == '\'') {
			return l.string(start)
		}
		return token{name, start, l.src[start:l.at]}, nil
	}
	for _, op := range operators {
		if strings.HasPrefix(l.src[start:], op) {
			l.at += len(op)
			t := token{operator, start, op}
			return t, l.bracket(t)
		}
	}
	r, _ := utf8.DecodeRuneInString(l.src[start:])
	if r == '\\' {
		return token{}, l.errorAt(start, "only the end of the line may follow a backslash")
	}
	return token{}, l.errorAt(start, "the character "+quoteRune(r)+" cannot stand here")
}

// bracket keeps account of the brackets that are open.
func (l *lexer) bracket(t token) error {
	switch t.text {
	case "(", "[", "{":
		if len(l.open) == maxDepth {
			return l.errorAt(t.at, "too many nested brackets")
		}
		l.open = append(l.open, t)
	case ")", "]", "}":
		n := len(l.open)
		if n == 0 {
			return l.errorAt(t.at, "unmatched '"+t.text+"'")
		}
		if opened := l.open[n-1].text; strings.Index("([{", opened) != strings.Index(")]}", t.text) {
			return l.errorAt(t.at, "'"+t.text+"' does not close '"+opened+"'")
		}
		l.open = l.open[:n-1]
	}
	return nil
}

// skipSpace skips blanks, comments, joined lines, and the ends of lines inside brackets.
func (l *lexer) skipSpace() error {
	for l.at < len(l.src) {
		switch c := l.src[l.at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\n' && len(l.open) > 0:
			l.at++
		case c == '#':
			n := strings.IndexByte(l.src[l.at:], '\n')
			if n < 0 {
				n = len(l.src) - l.at
			}
			l.at += n
		case c == '\\' && strings.HasPrefix(l.src[l.at:], "\\\n"):
			l.at += 2
		case c == '\\' && strings.HasPrefix(l.src[l.at:], "\\\r\n"):
			l.at += 3
		case c == '\\' && l.at+1 == len(l.src):
			err := l.errorAt(l.at, "a line follows a backslash at the end of a line")
			err.Incomplete = true
			return err
		default:
			return nil
		}
	}
	return nil
}

// errorAt returns a SyntaxError at a byte of the text.
func (l *lexer) errorAt(at int, msg string) *Error { return errorIn(l.src, at, "SyntaxError", msg) }

// errorIn returns an error at a byte of a text.
func errorIn(src string, at int, kind, msg string) *Error {
	at = min(at, len(src))
	start := strings.LastIndexByte(src[:at], '\n') + 1
	line := src[start:]
	if n := strings.IndexByte(line, '\n'); n >= 0 {
		line = line[:n]
	}
	return &Error{
		Kind: kind, Msg: msg, Line: strings.Count(src[:start], "\n") + 1, Text: line, Column: at - start,
	}
}

// nameLength returns the length of the identifier at the front of s, 0 if there is none.
func nameLength(s string) int {
	for i, r := range s {
		letter := r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r) || unicode.Is(unicode.Other_ID_Start, r)
		inside := unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc, unicode.Other_ID_Continue)
		if !letter && (i == 0 || !inside) {
			return i
		}
	}
	return len(s)
}

// IsName reports whether s is an identifier that a table can be reached by.
func IsName(s string) bool { return s != "" && nameLength(s) == len(s) && !reserved[s] }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func quoteRune(r rune) string {
	if unicode.IsPrint(r) {
		return "'" + string(r) + "'"
	}
	return "U+" + strings.ToUpper(hex(uint32(r)))
}
