package legacy

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"cyberdb-fast/codec/govalue"
)

// CyberDB's clients send the source text of a sort key: the line of a lambda up to its first
// closing parenthesis, or a whole function. CyberDB's server executes it. This package translates
// it to a sort key, which is data (VALUES.md), if it has one of these forms, and rejects it
// otherwise.
//
//	func = lambda x: EXPRESSION          the client cuts what was "key=lambda x: EXPRESSION)"
//	func = lambda x: EXPRESSION, reverse  the same for "..., reverse=True)", which is also a field
//	def f(x): return EXPRESSION, func = f  on separate lines, with comments, and "a, b = x"
//	func = None
//
// An EXPRESSION is made of the parameter, items of it (x[1], x['n'], x[1][0], x[-1]), -, len(),
// str(), .lower(), tuples and lists of these.

// errSortText is returned for a text in another form.
var errSortText = errors.New(
	"sort key refused: this server executes no text; it knows lambda x: with items (x[1], x['name']), -, len, " +
		"str, .lower() and tuples of these",
)

var (
	assigned   = regexp.MustCompile(`^\s*func\s*=\s*([\s\S]*?)\s*$`)
	lambda     = regexp.MustCompile(`^lambda\s+([A-Za-z_]\w*)\s*:\s*([\s\S]*?)\s*(,\s*reverse\s*)?$`)
	definition = regexp.MustCompile(
		`^\s*def\s+([A-Za-z_]\w*)\s*\(\s*([A-Za-z_]\w*)\s*\)\s*:[ \t]*(?:#[^\n]*)?\n` +
			`([\s\S]*?)\n\s*func\s*=\s*([A-Za-z_]\w*)\s*$`,
	)
	unpacking = regexp.MustCompile(`^\(?\s*([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*,?\s*\)?\s*=\s*([A-Za-z_]\w*)$`)
	literal   = regexp.MustCompile(`^(?:([+-]?\d+)|([+-]?\d+\.\d+)|(True|False)|'[^']*'|"[^"]*")$`)
	sequence  = regexp.MustCompile(`^(?:True|False|\d+)\s*,\s*key$`)
)

// ParseSortText returns the encoded sort key for a source text. Errors: *Exception, what Python
// raises or that the text is rejected.
func ParseSortText(text string) ([]byte, error) {
	names, expression := map[string]any{}, ""
	if m := assigned.FindStringSubmatch(text); m != nil {
		switch l := lambda.FindStringSubmatch(m[1]); {
		case m[1] == "None":
			return govalue.Marshal(nil)
		case l != nil:
			names[l[1]], expression = path{}, l[2]
		default:
			return nil, notCallable(m[1])
		}
	} else if m := definition.FindStringSubmatch(text); m != nil && m[1] == m[4] {
		names[m[2]] = path{}
		var err error
		if expression, err = returned(m[3], names); err != nil {
			return nil, refusedText(err)
		}
	} else {
		return nil, refusedText(errSortText)
	}
	p := sortParser{rest: expression, names: names}
	key, err := p.parseAll()
	if err != nil {
		return nil, refusedText(err)
	}
	return govalue.Marshal(sortKeyOf(key))
}

func refusedText(err error) *Exception { return NewException("ValueError", err.Error()) }

// notCallable is what Python raises for a key that is not a function.
func notCallable(text string) *Exception {
	kind := ""
	switch m := literal.FindStringSubmatch(text); {
	case sequence.MatchString(text):
		kind = "tuple" // of the client's own making: sort(reverse=True, key=...)
	case m == nil:
		return refusedText(errSortText)
	case m[1] != "":
		kind = "int"
	case m[2] != "":
		kind = "float"
	case m[3] != "":
		kind = "bool"
	default:
		kind = "str"
	}
	return NewException("TypeError", fmt.Sprintf("'%s' object is not callable", kind))
}

// returned finds the expression that a function returns. It adds names to which the function
// unpacks the parameter to names.
func returned(body string, names map[string]any) (string, error) {
	result := ""
	for line := range strings.Lines(body) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		expression, isReturn := strings.CutPrefix(line, "return ")
		switch m := unpacking.FindStringSubmatch(line); {
		case line == "":
		case result != "":
			return "", errSortText
		case isReturn:
			result = strings.TrimSpace(expression)
		case m == nil:
			return "", errSortText
		default:
			from, known := names[m[2]].(path)
			parts := strings.Split(m[1], ",")
			if !known || len(parts) < 2 {
				return "", errSortText
			}
			for i, name := range parts {
				names[strings.TrimSpace(name)] = append(from[:len(from):len(from)], i)
			}
		}
	}
	if result == "" {
		return "", errSortText
	}
	return result, nil
}

// path is the indexes that lead from the element to a part of it.
type path []any

// form is a sort key of another form: its name and its operands.
type form struct {
	name string
	of   []any
}

// sortKeyOf turns a path or form into a sort key of VALUES.md.
func sortKeyOf(key any) any {
	switch key := key.(type) {
	case path:
		return append([]any{"path"}, key...)
	case form:
		all := []any{key.name}
		for _, part := range key.of {
			all = append(all, sortKeyOf(part))
		}
		return all
	}
	return nil
}

// sortParser parses an EXPRESSION.
type sortParser struct {
	rest  string
	names map[string]any
	depth int
}

// maxSortDepth bounds the nesting of an EXPRESSION.
const maxSortDepth = 16

// parseAll parses an expression up to the end of the text; commas make it a tuple.
func (p *sortParser) parseAll() (any, error) {
	key, err := p.many("")
	if err != nil || p.rest != "" {
		return nil, errSortText
	}
	return key, nil
}

// accept consumes a token.
func (p *sortParser) accept(token string) bool {
	rest, found := strings.CutPrefix(p.rest, token)
	if found {
		p.rest = strings.TrimLeft(rest, " \t\n")
	}
	return found
}

// many parses expressions separated by commas, including the token end. A single one without a
// comma is itself, except in brackets.
func (p *sortParser) many(end string) (any, error) {
	if p.depth++; p.depth > maxSortDepth {
		return nil, errSortText
	}
	defer func() { p.depth-- }()
	var all []any
	commas := false
	for end == "" || len(all) == 0 || !p.accept(end) {
		if end == "" && len(all) > 0 && p.rest == "" {
			break
		}
		key, err := p.one()
		if err != nil {
			return nil, err
		}
		all = append(all, key)
		if p.accept(",") {
			commas = true
			continue
		}
		if end == "" || p.accept(end) {
			break
		}
		return nil, errSortText
	}
	if len(all) == 1 && !commas && end != "]" {
		return all[0], nil
	}
	return form{"tuple", all}, nil
}

var identifier = regexp.MustCompile(`^[A-Za-z_]\w*`)

// one reads an expression without a comma.
func (p *sortParser) one() (any, error) {
	if p.depth++; p.depth > maxSortDepth {
		return nil, errSortText
	}
	defer func() { p.depth-- }()
	if p.accept("-") {
		key, err := p.one()
		return form{"neg", []any{key}}, err
	}
	key, err := p.atom()
	for err == nil {
		switch {
		case p.accept("["):
			var index any
			if index, err = p.index(); err == nil {
				items, isPath := key.(path)
				if !isPath {
					return nil, errSortText
				}
				key = append(items[:len(items):len(items)], index)
			}
		case p.accept(".lower()"):
			key = form{"lower", []any{key}}
		default:
			return key, nil
		}
	}
	return nil, err
}

func (p *sortParser) atom() (any, error) {
	switch {
	case p.accept("("):
		return p.many(")")
	case p.accept("["):
		return p.many("]")
	}
	name := identifier.FindString(p.rest)
	if name == "" {
		return nil, errSortText
	}
	p.accept(name)
	if key, known := p.names[name]; known {
		return key, nil
	}
	if name != "len" && name != "str" || !p.accept("(") {
		return nil, errSortText
	}
	key, err := p.one()
	if err != nil || !p.accept(")") {
		return nil, errSortText
	}
	return form{name, []any{key}}, nil
}

var indexes = regexp.MustCompile(`^(?:(-?\d+)|'([^'\\\n]*)'|"([^"\\\n]*)")\s*\]`)

// index reads an int or a str, and the closing bracket.
func (p *sortParser) index() (any, error) {
	m := indexes.FindStringSubmatchIndex(p.rest)
	if m == nil {
		return nil, errSortText
	}
	text := p.rest
	p.accept(text[:m[1]])
	switch {
	case m[2] >= 0:
		n, err := strconv.ParseInt(text[m[2]:m[3]], 10, 64)
		if err != nil {
			return nil, errSortText
		}
		return n, nil
	case m[4] >= 0:
		return text[m[4]:m[5]], nil
	}
	return text[m[6]:m[7]], nil
}
