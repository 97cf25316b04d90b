package syntax

// display parses what is in brackets: a value, a tuple, a list, a set or a dict.
func (p *parser) display() (Node, error) {
	at, opened := At(p.token.at), p.token.text
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch opened {
	case "(":
		return p.parenthesis(at)
	case "[":
		items, err := p.items("]")
		return Display{at, List, items}, err
	}
	if p.is("}") {
		return DictDisplay{At: at}, p.advance()
	}
	first, err := p.element()
	if err != nil {
		return nil, err
	}
	if p.is(":") {
		return p.dict(at, first)
	}
	items, err := p.rest([]Node{first}, func() bool { return p.is("}") })
	if err != nil {
		return nil, err
	}
	return Display{at, Set, items}, p.expect("}")
}

// element parses an expression, and says what the shell has not instead of it.
func (p *parser) element() (Node, error) {
	if p.is("*") || p.is("**") {
		return nil, p.errorAt(p.token.at, "the shell has no `"+p.token.text+"`: write the items themselves")
	}
	return p.expression()
}

// items parses expressions with commas up to a closing bracket.
func (p *parser) items(closing string) (items []Node, err error) {
	for !p.is(closing) {
		item, err := p.element()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if p.is("for") {
			return nil, p.errorAt(p.token.at, "the shell has no comprehensions: write the items themselves")
		}
		if comma, err := p.take(","); err != nil || !comma {
			if err != nil {
				return nil, err
			}
			break
		}
	}
	return items, p.expect(closing)
}

func (p *parser) parenthesis(at At) (Node, error) {
	if p.is(")") {
		return Display{at, Tuple, nil}, p.advance()
	}
	first, err := p.element()
	if err != nil {
		return nil, err
	}
	if !p.is(",") {
		return first, p.expect(")")
	}
	items, err := p.rest([]Node{first}, func() bool { return p.is(")") })
	if err != nil {
		return nil, err
	}
	return Display{at, Tuple, items}, p.expect(")")
}

func (p *parser) dict(at At, key Node) (Node, error) {
	d := DictDisplay{At: at}
	for {
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		val, err := p.expression()
		if err != nil {
			return nil, err
		}
		d.Keys, d.Values = append(d.Keys, key), append(d.Values, val)
		if comma, err := p.take(","); err != nil {
			return nil, err
		} else if !comma || p.is("}") {
			return d, p.expect("}")
		}
		if key, err = p.element(); err != nil {
			return nil, err
		}
	}
}

// subscript parses [index] or [start:stop:step] after an expression.
func (p *parser) subscript(of Node) (Node, error) {
	at := At(p.token.at)
	if err := p.advance(); err != nil {
		return nil, err
	}
	var parts [3]Node
	n := 0
	for !p.is("]") {
		if p.is(":") && n < 2 {
			n++
			if err := p.advance(); err != nil {
				return nil, err
			}
			continue
		}
		if parts[n] != nil {
			return nil, p.unexpected("']'")
		}
		var err error
		if parts[n], err = p.tuple(); err != nil {
			return nil, err
		}
	}
	if n == 0 {
		if parts[0] == nil {
			return nil, p.unexpected("a key or an index")
		}
		return Index{at, of, parts[0]}, p.advance()
	}
	return Slice{at, of, parts[0], parts[1], parts[2]}, p.advance()
}

// call parses the arguments of a call.
func (p *parser) call(function Node) (Node, error) {
	c := Call{At: At(p.token.at), Function: function}
	if err := p.advance(); err != nil {
		return nil, err
	}
	for !p.is(")") {
		arg, err := p.element()
		if err != nil {
			return nil, err
		}
		if equals, err := p.take("="); err != nil {
			return nil, err
		} else if equals {
			if err := p.keyword(&c, arg); err != nil {
				return nil, err
			}
		} else if len(c.Keywords) > 0 {
			return nil, p.errorAt(arg.Pos(), "an argument without a name stands before those with one")
		} else {
			c.Args = append(c.Args, arg)
		}
		if comma, err := p.take(","); err != nil {
			return nil, err
		} else if !comma {
			break
		}
	}
	return c, p.expect(")")
}

// keyword parses the value of an argument with a name.
func (p *parser) keyword(c *Call, named Node) error {
	key, ok := named.(Name)
	if !ok {
		return p.errorAt(named.Pos(), "the name of an argument stands before =")
	}
	for _, k := range c.Keywords {
		if k.Name == key.Name {
			return p.errorAt(named.Pos(), "the argument "+key.Name+" is given twice")
		}
	}
	val, err := p.expression()
	c.Keywords = append(c.Keywords, Keyword{key.At, key.Name, val})
	return err
}
