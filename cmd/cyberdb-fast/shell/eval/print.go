package eval

import (
	"bufio"
	"cmp"
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
// is read. Errors: those of w and of the client; what was written before is incomplete then, has no
// closing bracket and ends with its line.
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

// marks returns those of a sequence. In JSON, the form of a dict depends on none of its keys, so
// that it can be written while it is read.
func (p *printer) marks(s *Sequence) marks {
	switch {
	case s.Kind == Elements:
		return marks{open: "[", end: "]"}
	case s.Kind == Pairs && !p.form.JSON:
		return marks{"[", "(", ", ", ")", "]"}
	case s.Kind == Pairs:
		return marks{"[", `{"$tuple":[`, ",", "]}", "]"}
	case !p.form.JSON:
		return marks{"{", "", ": ", "", "}"}
	}
	return marks{`{"$dict":[`, "[", ",", "]", "]}"}
}

// sequence writes a sequence. One that ends with an error has no closing bracket: it is not to be
// taken for the whole.
func (p *printer) sequence(ctx context.Context, s *Sequence) error {
	m := p.marks(s)
	started := false
	err := s.Each(ctx, func(key, val govalue.Encoded) bool {
		if started {
			p.text(p.separator)
		} else {
			p.text(m.open)
		}
		started = true
		p.text(m.before)
		if key != nil {
			p.value(key)
			p.text(m.between)
		}
		p.value(val)
		p.text(m.after)
		return p.err == nil
	})
	if err = cmp.Or(p.err, err); err != nil {
		if started {
			p.text("\n")
		}
		return err
	}
	if !started {
		p.text(m.open)
	}
	p.text(m.end)
	return p.err
}
