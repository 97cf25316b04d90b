package eval

import (
	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
)

const sortKeyForms = "a sort key is len, str, str.lower, or a lambda of items, -, len, str, .lower() " +
	"and tuples of these"

// sort sorts a list by a key, which is data and is not executed.
func (c *call) sort() (object, error) {
	reverse, err := c.flag("reverse")
	if err != nil {
		return nil, err
	}
	key, err := c.sortKey(c.args["key"])
	if err != nil {
		return nil, err
	}
	return nothing{}, c.table.list().Sort(c.ctx, key, client.Direction(reverse))
}

// sortKey translates the argument key of a sort.
func (c *call) sortKey(n syntax.Node) (client.SortKey, error) {
	switch n := n.(type) {
	case nil:
		return client.Itself, nil
	case syntax.Literal:
		if isNone(n.Value) {
			return client.Itself, nil
		}
	case syntax.Name:
		switch n.Name {
		case "len":
			return client.Itself.Len(), nil
		case "str":
			return client.Itself.Str(), nil
		}
	case syntax.Attribute:
		if of, ok := n.Of.(syntax.Name); ok && n.Name == "lower" && (of.Name == "str" || of.Name == "bytes") {
			return client.Itself.Lower(), nil
		}
	case syntax.Lambda:
		return c.lambdaKey(n.Parameter, n.Body)
	}
	return client.SortKey{}, c.errorAt(n, "TypeError", sortKeyForms)
}

// lambdaKey translates the body of a lambda.
func (c *call) lambdaKey(parameter string, n syntax.Node) (client.SortKey, error) {
	refused := c.errorAt(n, "TypeError", sortKeyForms)
	switch n := n.(type) {
	case syntax.Name:
		if n.Name == parameter {
			return client.Itself, nil
		}
	case syntax.Index:
		return c.pathKey(parameter, n)
	case syntax.Unary:
		if n.Operator == "-" {
			of, err := c.lambdaKey(parameter, n.Operand)
			return of.Neg(), err
		}
	case syntax.Display:
		if n.Kind == syntax.Set {
			return client.SortKey{}, refused
		}
		keys := make([]client.SortKey, len(n.Items))
		for i, item := range n.Items {
			var err error
			if keys[i], err = c.lambdaKey(parameter, item); err != nil {
				return client.SortKey{}, err
			}
		}
		return client.Tuple(keys...), nil
	case syntax.Call:
		return c.callKey(parameter, n)
	}
	return client.SortKey{}, refused
}

// pathKey translates x[a][b].
func (c *call) pathKey(parameter string, n syntax.Index) (client.SortKey, error) {
	var path []any
	for {
		index, err := c.value(n.Index)
		if err != nil {
			return client.SortKey{}, err
		}
		path = append([]any{index}, path...)
		switch of := n.Of.(type) {
		case syntax.Name:
			if of.Name == parameter {
				return client.By(path...), nil
			}
		case syntax.Index:
			n = of
			continue
		}
		return client.SortKey{}, c.errorAt(n, "TypeError", sortKeyForms)
	}
}

// callKey translates len(x), str(x) and x.lower().
func (c *call) callKey(parameter string, n syntax.Call) (client.SortKey, error) {
	switch f := n.Function.(type) {
	case syntax.Name:
		if len(n.Args) == 1 && len(n.Keywords) == 0 && (f.Name == "len" || f.Name == "str") {
			of, err := c.lambdaKey(parameter, n.Args[0])
			if f.Name == "len" {
				return of.Len(), err
			}
			return of.Str(), err
		}
	case syntax.Attribute:
		if len(n.Args) == 0 && len(n.Keywords) == 0 && f.Name == "lower" {
			of, err := c.lambdaKey(parameter, f.Of)
			return of.Lower(), err
		}
	}
	return client.SortKey{}, c.errorAt(n, "TypeError", sortKeyForms)
}
