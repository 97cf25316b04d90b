package eval

import (
	"context"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// Word returns the value of a word of the command line: that of a Python literal, otherwise the
// word itself as a str.
func Word(word string) govalue.Encoded {
	n, err := syntax.ParseExpression(word)
	if err == nil && isLiteral(n) {
		e := &evaluation{Session: New(nil), ctx: context.Background(), src: word}
		if val, err := e.value(n); err == nil {
			return val
		}
	}
	return value.AppendStr(nil, word)
}

// isLiteral reports whether an expression needs no server.
func isLiteral(n syntax.Node) bool {
	switch n := n.(type) {
	case syntax.Literal:
		return true
	case syntax.Display:
		return areLiterals(n.Items)
	case syntax.DictDisplay:
		return areLiterals(n.Keys) && areLiterals(n.Values)
	case syntax.Unary:
		return n.Operator != "not" && isLiteral(n.Operand)
	case syntax.Binary:
		return (n.Operator == "+" || n.Operator == "-") && isLiteral(n.Left) && isLiteral(n.Right)
	case syntax.Call:
		for _, k := range n.Keywords {
			if !isZone(k.Value) && !isLiteral(k.Value) {
				return false
			}
		}
		return isConstructor(n.Function) && areLiterals(n.Args)
	}
	return false
}

func areLiterals(all []syntax.Node) bool {
	for _, n := range all {
		if !isLiteral(n) {
			return false
		}
	}
	return true
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
		return isTimezone(n.Function) && areLiterals(n.Args)
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
