package eval

import (
	"strings"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// function is a method of a table, or a function of the shell.
type function struct {
	// signature has the arguments as Python writes them: "key, default=None, *, ttl=None".
	signature string
	help      string
	run       func(c *call) (object, error)
}

// call is a call of a function with its arguments.
type call struct {
	*evaluation
	node  syntax.Call
	table *table // whose method it is
	args  map[string]syntax.Node
	more  []syntax.Keyword // those that **kwargs takes
}

// call evaluates f(...) and table.method(...).
func (e *evaluation) call(n syntax.Call) (object, error) {
	switch f := n.Function.(type) {
	case syntax.Name:
		if make, ok := constructors[f.Name]; ok {
			return e.construct(f.Name, make, n)
		}
		known, ok := functions[f.Name]
		if !ok {
			return nil, &Error{"NameError", "the shell has no function '" + f.Name + "': it has " + functionNames()}
		}
		if f.Name != "len" { // which is a step with its table
			e.steps++
		}
		return e.apply(f.Name, known, nil, n)
	case syntax.Attribute:
		if name, make := constructorOf(f); make != nil {
			return e.construct(name, make, n)
		}
		return e.method(f, n)
	}
	return nil, e.errorAt(n, "TypeError", "only methods and functions can be called")
}

// method evaluates table.method(...).
func (e *evaluation) method(f syntax.Attribute, n syntax.Call) (object, error) {
	o, err := e.evaluate(f.Of)
	if err != nil {
		return nil, err
	}
	t, ok := o.(*table)
	if !ok {
		kind := "this"
		if v, ok := o.(govalue.Encoded); ok {
			kind = "'" + value.TypeName(v) + "' object"
		}
		return nil, &Error{"AttributeError", kind + " has no method in the shell: only tables have"}
	}
	known, ok := methodsOf(t.kind)[f.Name]
	if !ok {
		return nil, &Error{
			"AttributeError",
			"a " + string(t.kind) + " has no method '" + f.Name + "': .help lists the methods",
		}
	}
	return e.apply(f.Name, known, t, n)
}

// apply binds the arguments of a call and executes it.
func (e *evaluation) apply(name string, f function, t *table, n syntax.Call) (object, error) {
	c := &call{evaluation: e, node: n, table: t, args: make(map[string]syntax.Node)}
	if err := c.bind(name, f.signature); err != nil {
		return nil, err
	}
	return f.run(c)
}

// bind gives the arguments of a call to the parameters of a signature, as Python does.
func (c *call) bind(name, signature string) error {
	var positional, required []string
	known := make(map[string]bool)
	keywordOnly, takesMore := false, false
	for p := range strings.SplitSeq(signature, ", ") {
		key, _, optional := strings.Cut(p, "=")
		switch {
		case p == "":
		case p == "*":
			keywordOnly = true
		case strings.HasPrefix(p, "**"):
			takesMore = true
		default:
			known[key] = true
			if !keywordOnly {
				positional = append(positional, key)
			}
			if !optional {
				required = append(required, key)
			}
		}
	}
	if len(c.node.Args) > len(positional) {
		return typeError("%s(%s) takes at most %d arguments without a name, not %d",
			name, signature, len(positional), len(c.node.Args))
	}
	for i, arg := range c.node.Args {
		c.args[positional[i]] = arg
	}
	for _, k := range c.node.Keywords {
		switch {
		case c.args[k.Name] != nil:
			return typeError("%s() got multiple values for argument '%s'", name, k.Name)
		case known[k.Name]:
			c.args[k.Name] = k.Value
		case takesMore:
			c.more = append(c.more, k)
		default:
			return typeError("%s(%s) got an unexpected keyword argument '%s'", name, signature, k.Name)
		}
	}
	for _, key := range required {
		if c.args[key] == nil {
			return typeError("%s(%s) missing the argument '%s'", name, signature, key)
		}
	}
	return nil
}

// has reports whether an argument is given.
func (c *call) has(name string) bool { return c.args[name] != nil }

// given returns the value of an argument; without one, None.
func (c *call) given(name string) (govalue.Encoded, error) {
	if !c.has(name) {
		return msgp.AppendNil(nil), nil
	}
	return c.value(c.args[name])
}

// two returns the values of two arguments.
func (c *call) two(first, second string) (a, b govalue.Encoded, err error) {
	if a, err = c.given(first); err == nil {
		b, err = c.given(second)
	}
	return a, b, err
}

// integer returns an argument that is an int.
func (c *call) integer(name string, otherwise int) (int, error) {
	if !c.has(name) {
		return otherwise, nil
	}
	return c.listIndex(c.args[name])
}

// text returns an argument that is a str.
func (c *call) text(name string) (string, error) {
	b, err := c.given(name)
	if err != nil {
		return "", err
	}
	text, err := govalue.UnmarshalOf[string](b)
	if err != nil {
		return "", typeError("%s is a str, not %s", name, value.TypeName(b))
	}
	return text, nil
}

// flag returns an argument that is a bool.
func (c *call) flag(name string) (bool, error) {
	if !c.has(name) {
		return false, nil
	}
	b, err := c.given(name)
	if err != nil {
		return false, err
	}
	i, _, err := intOf(b)
	if err != nil {
		return false, typeError("%s is True or False, not %s", name, value.TypeName(b))
	}
	return i != 0, nil
}

// duration returns an argument that is a time to live: seconds, or a timedelta. given is false if
// it is None or missing.
func (c *call) duration(name string) (d time.Duration, given bool, err error) {
	b, err := c.given(name)
	if err != nil || msgp.IsNil(b) {
		return 0, false, err
	}
	v, _, err := govalue.Decode(b)
	if err != nil {
		return 0, false, err
	}
	var seconds float64
	switch v := v.(type) {
	case int64:
		seconds = float64(v)
	case float64:
		seconds = v
	case govalue.TimeDelta:
		seconds = float64(v.Days)*86400 + float64(v.Seconds) + float64(v.Micros)/1e6
	default:
		return 0, false, typeError("%s is a number of seconds or a timedelta, not %s", name, value.TypeName(b))
	}
	if !(seconds > 0 && seconds <= client.MaxTTL.Seconds()) {
		return 0, false, valueError("%s is above 0 and at most 100 years, not %v seconds", name, seconds)
	}
	return time.Duration(seconds * float64(time.Second)), true, nil
}

// items returns an argument that is a dict, or pairs of keys and values.
func (c *call) items(name string) (d pairs, err error) {
	b, err := c.given(name)
	if err != nil {
		return d, err
	}
	if value.LeadType(b) == value.TypeDict {
		err = eachPair(b, d.set)
		return d, err
	}
	entries, err := itemsOf(b)
	if err != nil {
		return d, typeError("%s is a dict or pairs of keys and values, not %s", name, value.TypeName(b))
	}
	for _, entry := range entries {
		pair, err := itemsOf(entry)
		if err != nil || len(pair) != 2 {
			return d, typeError("each of %s is a pair of a key and a value", name)
		}
		if err := d.set(pair[0], pair[1]); err != nil {
			return d, err
		}
	}
	return d, nil
}

// eachPair calls set for each item of an encoded dict.
func eachPair(b []byte, set func(key, val govalue.Encoded) error) error {
	n, rest, err := msgp.ReadMapHeaderBytes(b)
	for ; n > 0 && err == nil; n-- {
		split := value.Size(rest)
		end := split + value.Size(rest[split:])
		err = set(govalue.Encoded(rest[:split]), govalue.Encoded(rest[split:end]))
		rest = rest[end:]
	}
	return err
}
