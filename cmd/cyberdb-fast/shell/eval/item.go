package eval

import (
	"context"
	"errors"
	"regexp"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// Word returns the value of a word of the command line: that of a Python literal, or the word
// itself as a str. What begins with a quote or a bracket is a literal, or an error: *syntax.Error,
// or one of its value.
func Word(word string) (govalue.Encoded, error) {
	n, err := syntax.ParseExpression(word)
	if err == nil {
		if strange := notLiteral(n); strange == nil {
			e := &evaluation{Session: New(nil), ctx: context.Background(), src: word}
			var val govalue.Encoded
			if val, err = e.value(n); err == nil {
				return val, nil
			}
		} else {
			err = syntax.ErrorAt(word, strange.Pos(), "SyntaxError", "this is no literal")
		}
	}
	if !beginsLiteral(word) {
		return value.AppendStr(nil, word), nil
	}
	var parse *syntax.Error
	if errors.As(err, &parse) {
		parse.Msg += `; for a text, write quotes inside the quotes of your shell: "'...'"`
	}
	return nil, err
}

// literalBegin is how a text in quotes, a bracket or a call of a constructor begins. What begins
// with a digit may also be a date, an address or an identifier.
var literalBegin = regexp.MustCompile(`^\s*(?:[{\[('"]|(?i:[bru]|br|rb)['"]|(?:[a-z]+\.)?([A-Za-z]+)\()`)

// beginsLiteral reports whether a word is meant as a literal. What only happens to have a bracket
// in it is a text.
func beginsLiteral(word string) bool {
	m := literalBegin.FindStringSubmatch(word)
	return m != nil && (m[1] == "" || constructors[m[1]] != nil)
}

// notLiteral returns the part of an expression that needs a server, nil if there is none.
func notLiteral(n syntax.Node) syntax.Node {
	switch n := n.(type) {
	case syntax.Literal:
		return nil
	case syntax.Display:
		return noLiterals(n.Items)
	case syntax.DictDisplay:
		return noLiterals(n.Keys, n.Values)
	case syntax.Unary:
		if n.Operator != "not" {
			return notLiteral(n.Operand)
		}
	case syntax.Binary:
		if n.Operator == "+" || n.Operator == "-" {
			return noLiterals([]syntax.Node{n.Left, n.Right})
		}
	case syntax.Call:
		if !isConstructor(n.Function) {
			return n
		}
		for _, k := range n.Keywords {
			if strange := notLiteral(k.Value); strange != nil && !isZone(k.Value) {
				return strange
			}
		}
		return noLiterals(n.Args)
	}
	return n
}

// noLiterals returns the first part of expressions that needs a server.
func noLiterals(lists ...[]syntax.Node) syntax.Node {
	for _, all := range lists {
		for _, n := range all {
			if strange := notLiteral(n); strange != nil {
				return strange
			}
		}
	}
	return nil
}

func isConstructor(n syntax.Node) bool {
	switch n := n.(type) {
	case syntax.Name:
		return constructors[n.Name] != nil
	case syntax.Attribute:
		_, known := constructorOf(n)
		return known != nil
	}
	return false
}

// isZone reports whether an argument is the zone of a datetime, which is no value.
func isZone(n syntax.Node) bool {
	switch n := n.(type) {
	case syntax.Attribute:
		return n.Name == "utc" && isTimezone(n.Of)
	case syntax.Call:
		return isTimezone(n.Function) && noLiterals(n.Args) == nil
	}
	return false
}

// Item reads and changes items of one table.
type Item struct{ table *table }

// ItemOf returns the items of a table. Errors: ErrNoSuchTable.
func ItemOf(ctx context.Context, db *client.Client, name string) (*Item, error) {
	kind, err := db.Kind(ctx, name)
	if err != nil {
		return nil, err
	}
	return &Item{&table{db, name, kind}}, nil
}

// index returns the index that a key of a list is.
func (i *Item) index(key govalue.Encoded) (int, error) {
	index, fits, err := intOf(key)
	switch {
	case err != nil:
		return 0, typeError("list indices must be integers or slices, not %s", value.TypeName(key))
	case !fits:
		return 0, &Error{"IndexError", "cannot fit 'int' into an index-sized integer"}
	}
	return index, nil
}

// Get returns the value of a key, or of an index.
func (i *Item) Get(ctx context.Context, key govalue.Encoded) (govalue.Encoded, error) {
	if i.table.kind == client.KindDict {
		return i.table.dict().Get(ctx, key)
	}
	index, err := i.index(key)
	if err != nil {
		return nil, err
	}
	return i.table.list().Get(ctx, index)
}

// Set sets the value of a key, which expires after ttl if that is not 0, or of an index.
func (i *Item) Set(ctx context.Context, key, val govalue.Encoded, ttl time.Duration) error {
	switch {
	case i.table.kind == client.KindDict && ttl != 0:
		return i.table.dict().SetWithTTL(ctx, key, val, ttl)
	case i.table.kind == client.KindDict:
		return i.table.dict().Set(ctx, key, val)
	case ttl != 0:
		return typeError("elements of a list have no time to live")
	}
	index, err := i.index(key)
	if err != nil {
		return err
	}
	return i.table.list().Set(ctx, index, val)
}

// Delete removes a key, or an index.
func (i *Item) Delete(ctx context.Context, key govalue.Encoded) error {
	if i.table.kind == client.KindDict {
		return i.table.dict().Delete(ctx, key)
	}
	index, err := i.index(key)
	if err != nil {
		return err
	}
	return i.table.list().Delete(ctx, index)
}
