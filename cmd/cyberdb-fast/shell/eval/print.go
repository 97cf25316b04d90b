package eval

import (
	"bufio"
	"context"
	"io"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/jsonvalue"
	"cyberdb-fast/codec/value"
)

// Form is how results are written.
type Form struct {
	JSON bool // package jsonvalue's JSON, not Python's repr
	// Rows writes each item of a sequence into a line of its own, as pprint does.
	Rows bool
}

// Print writes a result and a line end; it writes nothing for nil. A sequence is written while it
// is read. Errors: those of w and of the client; what was written before is incomplete then.
func Print(ctx context.Context, w io.Writer, r Result, form Form) error {
	p := &printer{out: bufio.NewWriter(w), form: form, separator: ", "}
	switch {
	case form.Rows:
		p.separator = ",\n "
	case form.JSON: // as package jsonvalue writes it
		p.separator = ","
	}
	switch r := r.(type) {
	case nil:
		return nil
	case govalue.Encoded:
		p.value(r)
	case *Sequence:
		if err := p.sequence(ctx, r); err != nil {
			_ = p.out.Flush() // the error matters more
			return err
		}
	}
	if p.err != nil {
		return p.err
	}
	_ = p.out.WriteByte('\n') // Flush returns its error
	return p.out.Flush()
}

// printer writes one result.
type printer struct {
	out       *bufio.Writer
	form      Form
	separator string
	buffer    []byte
	err       error // the first
}

func (p *printer) text(s string) {
	if _, err := p.out.WriteString(s); err != nil && p.err == nil {
		p.err = err
	}
}

func (p *printer) value(b govalue.Encoded) {
	if p.err != nil {
		return
	}
	if p.form.JSON {
		if p.buffer, p.err = jsonvalue.Append(p.buffer[:0], b); p.err == nil {
			_, p.err = p.out.Write(p.buffer)
		}
		return
	}
	text, err := value.Repr(b)
	p.err = err
	p.text(text)
}

// marks are the texts around and inside the items of a sequence.
type marks struct{ open, before, between, after, end string }

func (p *printer) marks(ctx context.Context, s *Sequence) (marks, error) {
	switch {
	case s.Kind == Elements:
		return marks{open: "[", end: "]"}, nil
	case s.Kind == Pairs && !p.form.JSON:
		return marks{"[", "(", ", ", ")", "]"}, nil
	case s.Kind == Pairs:
		return marks{"[", `{"$tuple":[`, ",", "]}", "]"}, nil
	case !p.form.JSON:
		return marks{"{", "", ": ", "", "}"}, nil
	}
	plain, err := plainKeys(ctx, s)
	if plain {
		return marks{"{", "", ":", "", "}"}, err
	}
	return marks{`{"$dict":[`, "[", ",", "]", "]}"}, err
}

// plainKeys reports whether all keys of a dict can be keys of a JSON object. It reads the dict once
// more, since its form depends on all keys.
func plainKeys(ctx context.Context, s *Sequence) (plain bool, err error) {
	plain = true
	err = s.Each(ctx, func(key, _ govalue.Encoded) bool {
		plain = isPlain(key)
		return plain
	})
	return plain, err
}

// isPlain reports whether a key is a str that jsonvalue writes as a key of an object.
func isPlain(key govalue.Encoded) bool {
	text, err := govalue.UnmarshalOf[string](key)
	return err == nil && (text == "" || text[0] != '$')
}

func (p *printer) sequence(ctx context.Context, s *Sequence) error {
	m, err := p.marks(ctx, s)
	if err != nil {
		return err
	}
	object := p.form.JSON && s.Kind == Items && m.before == ""
	p.text(m.open)
	first := true
	err = s.Each(ctx, func(key, val govalue.Encoded) bool {
		if object && !isPlain(key) {
			p.err = valueError("the dict got a key that is no str while it was read: try again")
			return false
		}
		if !first {
			p.text(p.separator)
		}
		first = false
		p.text(m.before)
		if key != nil {
			p.value(key)
			p.text(m.between)
		}
		p.value(val)
		p.text(m.after)
		return p.err == nil
	})
	p.text(m.end)
	if p.err != nil {
		return p.err
	}
	return err
}
