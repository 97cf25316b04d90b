package eval

import (
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// appendValue appends the encoding of an expression whose result is a value.
func (e *evaluation) appendValue(dst []byte, n syntax.Node) ([]byte, error) {
	switch n := n.(type) {
	case syntax.Literal:
		return append(dst, n.Value...), nil
	case syntax.Display:
		return e.appendDisplay(dst, n)
	case syntax.DictDisplay:
		return e.appendDict(dst, n)
	case syntax.Unary:
		if n.Operator != "not" {
			return e.appendSigned(dst, n)
		}
	case syntax.Binary:
		if n.Operator == "+" || n.Operator == "-" {
			return e.appendComplex(dst, n)
		}
	}
	o, err := e.evaluate(n)
	if err != nil {
		return nil, err
	}
	switch o := o.(type) {
	case govalue.Encoded:
		return append(dst, o...), nil
	case *table:
		return nil, e.errorAt(n, "TypeError", "a whole table is no value: write table.copy()")
	case nothing:
		return msgp.AppendNil(dst), nil
	}
	return nil, e.errorAt(n, "TypeError", "this is no value that can be stored")
}

func (e *evaluation) appendDisplay(dst []byte, n syntax.Display) ([]byte, error) {
	start := len(dst)
	if n.Kind == syntax.Set {
		return e.appendSet(dst, n.Items, value.ExtSet)
	}
	dst = msgp.AppendArrayHeader(dst, uint32(len(n.Items)))
	var err error
	for _, item := range n.Items {
		if dst, err = e.appendValue(dst, item); err != nil {
			return nil, err
		}
	}
	if n.Kind == syntax.Tuple {
		dst = value.WrapExt(dst, start, value.ExtTuple)
	}
	return dst, nil
}

// appendSet appends a set, in which equal members count once.
func (e *evaluation) appendSet(dst []byte, items []syntax.Node, code int8) ([]byte, error) {
	vals := make([]govalue.Encoded, 0, len(items))
	for _, item := range items {
		val, err := e.value(item)
		if err != nil {
			return nil, err
		}
		vals = append(vals, val)
	}
	return appendSetOf(dst, vals, code)
}

func appendSetOf(dst []byte, vals []govalue.Encoded, code int8) ([]byte, error) {
	var seen keys
	members := make([]govalue.Encoded, 0, len(vals))
	for _, val := range vals {
		if _, known, err := seen.add(val); err != nil {
			return nil, err
		} else if !known {
			members = append(members, val)
		}
	}
	start := len(dst)
	dst = msgp.AppendArrayHeader(dst, uint32(len(members)))
	for _, val := range members {
		dst = append(dst, val...)
	}
	return value.WrapExt(dst, start, code), nil
}

// appendDict appends a dict: of equal keys, the first key and the last value.
func (e *evaluation) appendDict(dst []byte, n syntax.DictDisplay) ([]byte, error) {
	var d pairs
	for i := range n.Keys {
		key, err := e.value(n.Keys[i])
		if err != nil {
			return nil, err
		}
		val, err := e.value(n.Values[i])
		if err != nil {
			return nil, err
		}
		if err := d.set(key, val); err != nil {
			return nil, err
		}
	}
	return d.append(dst), nil
}

// keys finds equal keys as Python does. The zero keys is empty.
type keys struct{ at map[string]int }

// add returns the number of a key, and whether it was known before.
func (k *keys) add(key []byte) (i int, known bool, err error) {
	canonical, unequal, err := value.Key(key, nil)
	if err != nil {
		return 0, false, err
	}
	if k.at == nil {
		k.at = make(map[string]int)
	}
	if i, known = k.at[string(canonical)]; known && !unequal {
		return i, true, nil
	}
	i = len(k.at)
	if unequal { // a nan is another key each time
		canonical = append(canonical[:len(canonical):len(canonical)], byte(i), byte(i>>8), byte(i>>16), byte(i>>24))
	}
	k.at[string(canonical)] = i
	return i, false, nil
}

// pairs are the items of a dict in order. The zero pairs is empty.
type pairs struct {
	seen       keys
	keys, vals []govalue.Encoded
}

func (d *pairs) set(key, val govalue.Encoded) error {
	i, known, err := d.seen.add(key)
	switch {
	case err != nil:
		return err
	case known:
		d.vals[i] = val
	default:
		d.keys, d.vals = append(d.keys, key), append(d.vals, val)
	}
	return nil
}

func (d *pairs) append(dst []byte) []byte {
	dst = msgp.AppendMapHeader(dst, uint32(len(d.keys)))
	for i := range d.keys {
		dst = append(append(dst, d.keys[i]...), d.vals[i]...)
	}
	return dst
}

// all ranges over the items.
func (d *pairs) all(yield func(key, val govalue.Encoded) bool) {
	for i := range d.keys {
		if !yield(d.keys[i], d.vals[i]) {
			return
		}
	}
}

// appendSigned appends -a or +a, where a is a number.
func (e *evaluation) appendSigned(dst []byte, n syntax.Unary) ([]byte, error) {
	b, err := e.value(n.Operand)
	if err != nil {
		return nil, err
	}
	if n.Operator == "-" {
		if value.LeadType(b) == value.TypeBool || isComplex(b) {
			return e.negated(dst, b, n)
		}
		if b, err = apply(b, []any{"neg", nil}); err != nil {
			return nil, err
		}
	} else if !isNumber(b) {
		return nil, typeError("bad operand type for unary +: '%s'", value.TypeName(b))
	}
	return append(dst, b...), nil
}

// negated appends the negative of a bool or a complex number.
func (e *evaluation) negated(dst, b []byte, n syntax.Unary) ([]byte, error) {
	v, _, err := govalue.Decode(b)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case complex128:
		return value.AppendComplex(dst, -v), nil
	case bool:
		if v {
			return value.AppendInt(dst, -1), nil
		}
		return value.AppendInt(dst, 0), nil
	}
	return nil, e.errorAt(n, "TypeError", "this has no negative")
}

func isComplex(b []byte) bool { return value.TypeName(b) == "complex" }

func isNumber(b []byte) bool {
	switch value.TypeName(b) {
	case "int", "float", "complex", "bool", "decimal.Decimal", "Fraction":
		return true
	}
	return false
}

// appendComplex appends a + bj, as ast.literal_eval takes it.
func (e *evaluation) appendComplex(dst []byte, n syntax.Binary) ([]byte, error) {
	refused := e.errorAt(n, "SyntaxError", "the shell does no arithmetic: write the result, or use t.increment(key, n)")
	right, ok := n.Right.(syntax.Literal)
	if !ok || !isComplex(right.Value) {
		return nil, refused
	}
	left, err := e.value(n.Left)
	if err != nil {
		return nil, err
	}
	if kind := value.TypeName(left); kind != "int" && kind != "float" {
		return nil, refused
	}
	real, err := govalue.UnmarshalOf[float64](left)
	if err != nil {
		return nil, &Error{"OverflowError", "int too large to convert to float"}
	}
	imaginary, _, err := govalue.Decode(right.Value)
	if err != nil {
		return nil, err
	}
	if n.Operator == "-" {
		return value.AppendComplex(dst, complex(real, 0)-imaginary.(complex128)), nil
	}
	return value.AppendComplex(dst, complex(real, 0)+imaginary.(complex128)), nil
}
