package eval

import (
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

func boolean(b bool) govalue.Encoded { return msgp.AppendBool(nil, b) }

func integer(i int) govalue.Encoded { return value.AppendInt(nil, int64(i)) }

// compare evaluates in, not in, == and !=.
func (e *evaluation) compare(n syntax.Binary) (object, error) {
	negated := n.Operator == "not in" || n.Operator == "!="
	if n.Operator == "==" || n.Operator == "!=" {
		left, err := e.value(n.Left)
		if err != nil {
			return nil, err
		}
		right, err := e.value(n.Right)
		return boolean(err == nil && value.Equal(left, right) != negated), err
	}
	item, err := e.value(n.Left)
	if err != nil {
		return nil, err
	}
	in, err := e.contains(n.Right, item)
	return boolean(in != negated), err
}

func (e *evaluation) contains(n syntax.Node, item govalue.Encoded) (bool, error) {
	o, err := e.evaluate(n)
	if err != nil {
		return false, err
	}
	switch of := o.(type) {
	case *table:
		if of.kind == client.KindList {
			return of.list().Contains(e.ctx, item)
		}
		return of.dict().Contains(e.ctx, item)
	case govalue.Encoded:
		items, err := itemsOf(of)
		if err != nil {
			if value.LeadType(of) != value.TypeDict {
				return false, err
			}
			_, err := apply(of, []any{"path", item})
			return err == nil, nil
		}
		for _, one := range items {
			if value.Equal(one, item) {
				return true, nil
			}
		}
		return false, nil
	}
	return false, e.errorAt(n, "TypeError", "the shell cannot look into this: write `key in table`")
}

// not evaluates not a, where a is a bool.
func (e *evaluation) not(n syntax.Unary) (object, error) {
	b, err := e.value(n.Operand)
	if err != nil {
		return nil, err
	}
	truth, err := govalue.UnmarshalOf[bool](b)
	if err != nil {
		return nil, e.errorAt(n, "TypeError", "not is for True and False in the shell")
	}
	return boolean(!truth), nil
}

// length evaluates len(a).
func (e *evaluation) length(n syntax.Node) (object, error) {
	o, err := e.evaluate(n)
	if err != nil {
		return nil, err
	}
	switch of := o.(type) {
	case *table:
		var length int
		if of.kind == client.KindList {
			length, err = of.list().Len(e.ctx)
		} else {
			length, err = of.dict().Len(e.ctx)
		}
		return integer(length), err
	case govalue.Encoded:
		return apply(of, []any{"len", nil})
	}
	return nil, e.errorAt(n, "TypeError", "this has no length: write len(table)")
}
