package syntax

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of brackets and operators, as Python does.
const maxDepth = 200

// reserved are Python's keywords.
var reserved = func() map[string]bool {
	words := make(map[string]bool)
	for word := range strings.FieldsSeq(`False None True and as assert async await break class continue def del
		elif else except finally for from global if import in is lambda nonlocal not or pass
		raise return try while with yield`) {
		words[word] = true
	}
	return words
}()

// Parse parses statements, which line ends and semicolons separate. Errors: *Error.
func Parse(src string) ([]Statement, error) {
	if len(src) > MaxTextBytes {
		return nil, &Error{Kind: "SyntaxError", Msg: fmt.Sprintf("more than %d bytes", MaxTextBytes), Line: 1}
	}
	p := &parser{lexer: lexer{src: src}}
	if i := strings.IndexByte(src, 0); i >= 0 {
		return nil, p.errorAt(i, "the text has a NUL character: write \\0")
	}
	if !utf8.ValidString(src) {
		return nil, p.errorAt(validLength(src), "the text is not UTF-8: write other bytes as \\xhh")
	}
	all, err := p.statements()
	if err != nil {
		return nil, err
	}
	return all, nil
}

// validLength returns how many bytes at the front of a text are UTF-8.
func validLength(src string) (n int) {
	for n < len(src) {
		r, size := utf8.DecodeRuneInString(src[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// ParseExpression parses one expression. Errors: *Error.
func ParseExpression(src string) (Node, error) {
	all, err := Parse(src)
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		if e, ok := all[0].(Expression); ok {
			return e.Node, nil
		}
	}
	return nil, errorIn(src, 0, "SyntaxError", "one expression is expected")
}

// ErrorAt returns an error of one of Python's classes at a place of src.
func ErrorAt(src string, at int, kind, msg string) *Error { return errorIn(src, at, kind, msg) }

// parser reads tokens, one of which it looks ahead.
type parser struct {
	lexer
	token token
	depth int
}

func (p *parser) advance() (err error) {
	p.token, err = p.next()
	return err
}

// is reports whether the next token is an operator or a word.
func (p *parser) is(s string) bool {
	return (p.token.kind == operator || p.token.kind == name) && p.token.text == s
}

// take skips the next token if it is this operator or word.
func (p *parser) take(s string) (bool, error) {
	if !p.is(s) {
		return false, nil
	}
	return true, p.advance()
}

// expect skips the operator that must come next.
func (p *parser) expect(s string) error {
	if !p.is(s) {
		return p.unexpected("'" + s + "'")
	}
	return p.advance()
}

// unexpected is the error for a token at which something else was expected.
func (p *parser) unexpected(wanted string) error {
	t := p.token
	switch {
	case t.kind == operator && strings.Contains(" * / // % ** @ & | ^ << >> ", " "+t.text+" "):
		return p.errorAt(t.at, "the shell does no arithmetic: write the result, or use t.increment(key, n)")
	case t.kind == end:
		return p.errorAt(t.at, wanted+" is missing at the end")
	case t.text == "\n":
		return p.errorAt(t.at, wanted+" is missing at the end of the line")
	case t.kind == name && reserved[t.text]:
		return p.errorAt(t.at, "the shell has no `"+t.text+"`: it takes one expression, assignment or del at a time")
	}
	return p.errorAt(t.at, wanted+" is expected here")
}

func (p *parser) statements() (all []Statement, err error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	for {
		for p.token.kind == newline {
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
		if p.token.kind == end {
			return all, nil
		}
		s, err := p.statement()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
		if p.token.kind != newline && p.token.kind != end {
			return nil, p.afterStatement()
		}
	}
}

// afterStatement is the error for what follows a statement.
func (p *parser) afterStatement() error {
	t := p.token
	switch {
	case t.kind == operator && strings.HasSuffix(t.text, "=") && len(t.text) > 1:
		return p.errorAt(t.at, "`"+t.text+"` would be two requests, a read and a write, between which another client "+
			"may write: write t.increment(key, n), or t.compare_and_set(key, old, new)")
	case t.kind == operator && t.text == "=":
		return p.errorAt(t.at, "the shell assigns to one target at a time")
	case t.kind == operator && strings.Contains(" < > <= >= ", " "+t.text+" "):
		return p.errorAt(t.at, "the shell compares with ==, != and in only")
	}
	return p.unexpected("the end of the statement")
}

func (p *parser) statement() (Statement, error) {
	at := At(p.token.at)
	if p.is(".") {
		return nil, p.errorAt(p.token.at, "a command such as .tables has a line of its own, or a -e of its own")
	}
	if p.is("del") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		target, err := p.expression()
		if err != nil {
			return nil, err
		}
		return Deletion{at, target}, p.checkTarget(target, "del")
	}
	left, err := p.tuple()
	if err != nil || !p.is("=") {
		return Expression{left}, err
	}
	if err := p.checkTarget(left, "="); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	right, err := p.tuple()
	return Assignment{at, left, right}, err
}

// checkTarget refuses what nothing can be assigned to.
func (p *parser) checkTarget(n Node, verb string) error {
	switch n.(type) {
	case Name, Index, Slice:
		return nil
	}
	if verb == "del" {
		return p.errorAt(n.Pos(), "del removes an item or a slice: del t[key], del t[a:b]")
	}
	return p.errorAt(n.Pos(), "nothing can be assigned to this: write t[key] = value, or compare with ==")
}

// tuple parses an expression, or several with commas.
func (p *parser) tuple() (Node, error) {
	first, err := p.expression()
	if err != nil || !p.is(",") {
		return first, err
	}
	items, err := p.rest([]Node{first}, func() bool {
		return p.token.kind == end || p.token.kind == newline || p.is("=") || p.is("]") || p.is(")")
	})
	return Display{At(first.Pos()), Tuple, items}, err
}

// rest parses what follows the first of some expressions with commas.
func (p *parser) rest(items []Node, ends func() bool) ([]Node, error) {
	for {
		if comma, err := p.take(","); err != nil || !comma || ends() {
			return items, err
		}
		item, err := p.expression()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
}

// enter counts a level of nesting, which the result leaves.
func (p *parser) enter() (leave func(), err error) {
	if p.depth++; p.depth > maxDepth*2 {
		return nil, p.errorAt(p.token.at, "too deeply nested")
	}
	return func() { p.depth-- }, nil
}

func (p *parser) expression() (Node, error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	at := At(p.token.at)
	switch {
	case p.is("lambda"):
		return p.lambda()
	case p.is("not"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		operand, err := p.expression()
		return Unary{at, "not", operand}, err
	}
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	op := ""
	switch {
	case p.is("in"), p.is("=="), p.is("!="):
		op = p.token.text
	case p.is("not"):
		op = "not in"
		if err := p.advance(); err != nil {
			return nil, err
		}
		if !p.is("in") {
			return nil, p.unexpected("`in`")
		}
	default:
		return left, nil
	}
	at = At(p.token.at)
	if err := p.advance(); err != nil {
		return nil, err
	}
	right, err := p.sum()
	return Binary{at, op, left, right}, err
}

// sum parses a value, or the sum that a complex number is.
func (p *parser) sum() (Node, error) {
	left, err := p.unary()
	for err == nil && (p.is("+") || p.is("-")) {
		op := p.token
		if _, ok := left.(Binary); ok {
			return nil, p.errorAt(op.at, "the shell does no arithmetic")
		}
		if err = p.advance(); err != nil {
			return nil, err
		}
		var right Node
		right, err = p.unary()
		left = Binary{At(op.at), op.text, left, right}
	}
	return left, err
}

func (p *parser) unary() (Node, error) {
	if !p.is("-") && !p.is("+") {
		return p.postfix()
	}
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	op := p.token
	if err := p.advance(); err != nil {
		return nil, err
	}
	operand, err := p.unary()
	return Unary{At(op.at), op.text, operand}, err
}

// lambda parses the lambda of a sort key.
func (p *parser) lambda() (Node, error) {
	at := At(p.token.at)
	if err := p.advance(); err != nil {
		return nil, err
	}
	parameter := p.token
	if parameter.kind != name || reserved[parameter.text] {
		return nil, p.unexpected("the name of the lambda's argument")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	body, err := p.expression()
	return Lambda{at, parameter.text, body}, err
}
