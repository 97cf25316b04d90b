package syntax

import (
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// maxPostfix bounds a[b][c]...; they are nested as trees.
const maxPostfix = maxDepth

func (p *parser) postfix() (Node, error) {
	n, err := p.atom()
	for range maxPostfix {
		if err != nil {
			return nil, err
		}
		switch {
		case p.is("["):
			n, err = p.subscript(n)
		case p.is("("):
			n, err = p.call(n)
		case p.is("."):
			n, err = p.attribute(n)
		default:
			return n, nil
		}
	}
	if err == nil {
		err = p.errorAt(p.token.at, "too deeply nested")
	}
	return nil, err
}

func (p *parser) attribute(of Node) (Node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	t := p.token
	if t.kind != name {
		return nil, p.unexpected("the name of a method")
	}
	return Attribute{At(t.at), of, t.text}, p.advance()
}

// literal is a Literal at the next token, which it skips.
func (p *parser) literal(encoded []byte) (Node, error) {
	at := At(p.token.at)
	return Literal{at, encoded}, p.advance()
}

func (p *parser) atom() (Node, error) {
	t := p.token
	switch t.kind {
	case number:
		encoded, err := numberValue(t.text)
		if err != nil {
			return nil, p.errorAt(t.at, err.Error())
		}
		return p.literal(encoded)
	case text:
		return p.strings()
	case name:
		return p.word()
	case operator:
		switch t.text {
		case "(", "[", "{":
			return p.display()
		case "...":
			return p.literal(value.AppendExt(nil, value.ExtSingleton, []byte{0}))
		}
	}
	return nil, p.unexpected("a value")
}

// word parses a name or a constant.
func (p *parser) word() (Node, error) {
	t := p.token
	switch t.text {
	case "None":
		return p.literal(msgp.AppendNil(nil))
	case "True", "False":
		return p.literal(msgp.AppendBool(nil, t.text == "True"))
	}
	if reserved[t.text] {
		return nil, p.unexpected("a value")
	}
	return Name{At(t.at), t.text}, p.advance()
}

// strings parses string literals in a row.
func (p *parser) strings() (Node, error) {
	at := p.token.at
	var literals []string
	for p.token.kind == text {
		literals = append(literals, p.token.text)
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	encoded, err := stringValue(literals)
	if err != nil {
		return nil, p.errorAt(at, err.Error())
	}
	return Literal{At(at), encoded}, nil
}
