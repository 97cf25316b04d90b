package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// message is a message of a client or server.
type message struct {
	root pickle.Object // zero: not readable
	u    *pickle.Unpickler
}

// errShort is returned for an incomplete message.
var errShort = errors.New("incomplete message")

// parseMessage reads the message at the front of b, which may be encrypted; n is its length.
func parseMessage(b []byte, c *legacy.Cipher) (m message, n int, err error) {
	b = bytes.Clone(b)
	if c != nil {
		c.XOR(b, 0)
	}
	m.u = &pickle.Unpickler{}
	m.root, n, err = m.u.Parse(b)
	if err == nil && c != nil {
		content := m.root.Field("content")
		if content.IsZero() {
			return message{}, n, errors.New("not an encrypted message")
		}
		inner := content.Text()
		m.u = &pickle.Unpickler{}
		m.root, _, err = m.u.Parse(inner)
	}
	if errors.Is(err, pickle.ErrShort) {
		return message{}, 0, errShort
	}
	if err != nil {
		m.root = pickle.Object{}
	}
	return m, n, err
}

// field returns a field of a dict; the zero Object if there is none.
func (m *message) field(name string) pickle.Object {
	if m.root.IsZero() {
		return m.root
	}
	return m.root.Field(name)
}

// text returns a field that is a str.
func (m *message) text(name string) (string, bool) {
	field := m.field(name)
	if field.IsZero() || field.Kind() != pickle.Str {
		return "", false
	}
	return string(field.Text()), true
}

// code returns the code of a reply, -1 if there is none.
func (m *message) code() int64 {
	field := m.field("code")
	if field.IsZero() {
		return -1
	}
	code, ok := field.Int()
	if !ok {
		return -1
	}
	return code
}

// show is a reply as it is compared: code, content and exception, each with its types, without the
// password and without /connect's message.
func (m *message) show() string {
	if m.root.IsZero() {
		return "cannot be read"
	}
	if m.root.Kind() != pickle.Dict {
		return showObject(m.root)
	}
	text := fmt.Sprintf("code %d", m.code())
	for _, name := range []string{"content", "Exception"} {
		if field := m.field(name); !field.IsZero() {
			text += " " + name + " " + showObject(field)
		}
	}
	return text
}

func showObject(o pickle.Object) string {
	if _, err := o.Size(); errors.Is(err, value.ErrTooLarge) { // a whole table may be
		text := o.Kind().String()
		for _, part := range o.Parts() {
			text += " " + showObject(part)
		}
		return text
	}
	encoded, err := o.Append(nil)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	v, _, err := govalue.Decode(encoded)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return show(v)
}

// show writes a value with the types in it. Members of sets are sorted, since sets have no order.
func show(v any) string {
	switch v := v.(type) {
	case float64:
		return fmt.Sprintf("float %x", math.Float64bits(v))
	case complex128:
		return fmt.Sprintf("complex %x %x", math.Float64bits(real(v)), math.Float64bits(imag(v)))
	case string:
		return fmt.Sprintf("%q", v)
	case []any:
		return "[" + showAll(v) + "]"
	case govalue.Tuple:
		return "(" + showAll(v) + ")"
	case govalue.Set:
		return "set{" + showSorted(v) + "}"
	case govalue.FrozenSet:
		return "frozenset{" + showSorted(v) + "}"
	case govalue.Dict:
		return "dict" + showPairs(v)
	case govalue.OrderedDict:
		return "OrderedDict" + showPairs(govalue.Dict(v))
	case govalue.Counter:
		return "Counter" + showPairs(govalue.Dict(v))
	case govalue.DefaultDict:
		return "defaultdict " + v.Factory + showPairs(v.Items)
	case govalue.Deque:
		return fmt.Sprintf("deque %v %d [%s]", v.Bounded, v.MaxLen, showAll(v.Items))
	case govalue.Slice:
		return "slice(" + showAll([]any{v.Start, v.Stop, v.Step}) + ")"
	case govalue.Exception:
		return v.Class + "(" + showAll(v.Args) + ")"
	}
	return fmt.Sprintf("%T %v", v, v)
}

func showEach(all []any) []string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = show(v)
	}
	return texts
}

func showAll(all []any) string { return strings.Join(showEach(all), ", ") }

func showSorted(all []any) string {
	texts := showEach(all)
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

func showPairs(pairs govalue.Dict) string {
	texts := make([]string, len(pairs))
	for i, p := range pairs {
		texts[i] = show(p.Key) + ": " + show(p.Value)
	}
	return "{" + strings.Join(texts, ", ") + "}"
}
