package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bytedance/sonic"
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// Section is one section of INFO.
type Section struct {
	Parameters []Parameter // those that it takes
	// Answer makes the section, JSON. It is called in the background. The client gets a
	// *codec.Error unchanged.
	Answer func(p Parameters) ([]byte, error)

	own func(x *Executor) error // in place of Answer, of the engine's own sections
}

// Parameter is a parameter of a section: a str, an int, or a number, as the type of Default says.
type Parameter struct {
	Name        string
	Default     any      // string, int64 or float64: the value if a request has none, or None
	OneOf       []string // of a string: the values that it may have; nil: any
	Least, Most int64    // of a number; Most 0: maxLimit
}

// Parameters are the parameters of one request, each with its value or its default.
type Parameters map[string]any

// Text returns a parameter whose default is a string.
func (p Parameters) Text(name string) string { return p[name].(string) }

// Int returns a parameter whose default is an int64.
func (p Parameters) Int(name string) int64 { return p[name].(int64) }

// Float returns a parameter whose default is a float64.
func (p Parameters) Float(name string) float64 { return p[name].(float64) }

// ownSections are the sections that every engine has.
var ownSections = map[string]Section{
	"channels": {own: infoChannels},
	"dicts":    {own: infoDicts},
	"digest":   {own: infoDigest},
	"locks":    {own: infoLocks},
	"queues":   {own: infoQueues},
	"waiting":  {own: infoWaiting},
}

// allSections are the engine's own sections and those of its Env.
func allSections(env map[string]Section) map[string]Section {
	all := maps.Clone(ownSections)
	maps.Copy(all, env)
	return all
}

// infoSection answers INFO with a section, and perhaps parameters, in the background.
func (x *Executor) infoSection() error {
	name, _, err := msgp.ReadStringZC(x.args[0])
	section, known := x.engine.sections[string(name)]
	if err != nil || !known {
		names := slices.Sorted(maps.Keys(x.engine.sections))
		return valueError(fmt.Sprintf("INFO has no section %s: it has %s", reprOf(x.args[0]), quoted(names)))
	}
	p := Parameters{}
	for _, parameter := range section.Parameters {
		p[parameter.Name] = parameter.Default
	}
	if x.n > 1 {
		if err := section.read(string(name), x.args[1], p); err != nil {
			return err
		}
	}
	if !x.call.MayBlock {
		return shardmap.ErrLong
	}
	if section.own != nil {
		return section.own(x)
	}
	text, err := section.Answer(p)
	if err == nil {
		x.body = msgp.AppendStringFromBytes(x.body, text)
	}
	return err
}

// answerJSON appends a section of INFO.
func (x *Executor) answerJSON(answer any) error {
	text, err := sonic.Marshal(answer)
	if err == nil {
		x.body = msgp.AppendStringFromBytes(x.body, text)
	}
	return err
}

// read reads the parameters in b, a dict, into p.
func (s *Section) read(section string, b []byte, p Parameters) error {
	n, rest, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return typeError("the parameters of INFO are a dict, not " + value.TypeName(b))
	}
	for range n {
		size := value.Size(rest)
		name, val := rest[:size], rest[size:]
		size = value.Size(val)
		val, rest = val[:size], val[size:]
		text, _, err := msgp.ReadStringZC(name)
		i := slices.IndexFunc(s.Parameters, func(p Parameter) bool { return p.Name == string(text) })
		if err != nil || i < 0 {
			return s.unknown(section, name)
		}
		if msgp.IsNil(val) {
			continue
		}
		if p[string(text)], err = s.Parameters[i].read(val); err != nil {
			return err
		}
	}
	return nil
}

// unknown is the error for a parameter that the section does not take.
func (s *Section) unknown(section string, name []byte) error {
	takes := "no parameters"
	if len(s.Parameters) > 0 {
		names := make([]string, len(s.Parameters))
		for i, p := range s.Parameters {
			names[i] = p.Name
		}
		takes = quoted(names)
	}
	return valueError(fmt.Sprintf("INFO '%s' has no parameter %s: it takes %s", section, reprOf(name), takes))
}

// read reads the value of a parameter.
func (p *Parameter) read(val []byte) (any, error) {
	text, _, notText := msgp.ReadStringBytes(val)
	n, isInt, _ := intArgument(val) // what does not fit becomes the largest or the smallest
	number, _, notFloat := msgp.ReadFloat64Bytes(val)
	if isInt {
		number = float64(n)
	}
	want := ""
	switch p.Default.(type) {
	case string:
		if notText == nil && (p.OneOf == nil || slices.Contains(p.OneOf, text)) {
			return text, nil
		}
		if want = "a str"; notText == nil {
			return nil, valueError(fmt.Sprintf("%s is one of %s, not %s", p.Name, quoted(p.OneOf), reprOf(val)))
		}
	case int64:
		if isInt && p.Least <= n && n <= p.most() {
			return n, nil
		}
		if want = "an int"; isInt {
			return nil, p.outside(val)
		}
	case float64:
		if float64(p.Least) <= number && number <= float64(p.most()) && (isInt || notFloat == nil) {
			return number, nil
		}
		if want = "a number"; isInt || notFloat == nil {
			return nil, p.outside(val)
		}
	}
	return nil, typeError(fmt.Sprintf("%s is %s, not %s", p.Name, want, value.TypeName(val)))
}

// most is the largest value of a number.
func (p *Parameter) most() int64 { return cmp.Or(p.Most, maxLimit) }

// outside is the error for a number that is too small or too large.
func (p *Parameter) outside(val []byte) error {
	return valueError(fmt.Sprintf("%s is %d to %d, not %s", p.Name, p.Least, p.most(), reprOf(val)))
}

// quoted lists names: 'a', 'b' and 'c'.
func quoted(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return "'" + names[0] + "'"
	}
	return "'" + strings.Join(names[:last], "', '") + "' and '" + names[last] + "'"
}
