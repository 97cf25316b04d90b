package eval

import (
	"context"
	"errors"
	"maps"
	"slices"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
)

// Session is a shell's connection with a server, and its names.
type Session struct {
	db    *client.Client
	names map[string]*table      // that were assigned
	kinds map[string]client.Kind // of tables that were asked for; other clients may have changed them
}

// maxKinds bounds Session.kinds.
const maxKinds = 1000

// New returns a session with the server of a client.
func New(db *client.Client) *Session {
	return &Session{db: db, names: make(map[string]*table), kinds: make(map[string]client.Kind)}
}

// Result is what a statement leaves to be printed: nil for nothing, a govalue.Encoded or a
// *Sequence.
type Result any

// Run executes a statement of a text. Errors: *Error and *syntax.Error of this package, and those
// of the client; see Explain.
func (s *Session) Run(ctx context.Context, src string, statement syntax.Statement) (Result, error) {
	e := &evaluation{Session: s, ctx: ctx, src: src}
	result, err := e.run(statement)
	if err = s.check(err); isStale(err) && e.recalled && e.steps == 1 { // nothing was done
		result, err = e.run(statement)
		err = s.check(err)
	}
	if all, ok := result.(*Sequence); ok {
		each := all.Each
		all.Each = func(ctx context.Context, yield func(key, val govalue.Encoded) bool) error {
			return s.check(each(ctx, yield))
		}
	}
	return result, err
}

// isStale reports whether a table is no more what it was.
func isStale(err error) bool {
	return errors.Is(err, client.ErrNoSuchTable) || errors.Is(err, client.ErrWrongTableKind)
}

// check returns err. The kinds of tables are asked for again after an error that they may cause.
func (s *Session) check(err error) error {
	if isStale(err) {
		clear(s.kinds)
	}
	return err
}

// kind returns the kind of a table of the server. Errors: ErrNoSuchTable.
func (s *Session) kind(ctx context.Context, name string) (client.Kind, error) {
	kind, err := s.db.Kind(ctx, name)
	if err == nil {
		if len(s.kinds) == maxKinds {
			clear(s.kinds)
		}
		s.kinds[name] = kind
	}
	return kind, err
}

// evaluation is the execution of one statement.
type evaluation struct {
	*Session
	ctx context.Context
	src string
	// steps counts what the statement uses: tables by their names, and functions.
	steps    int
	recalled bool // the kind of a table was not asked for
}

func (e *evaluation) run(statement syntax.Statement) (Result, error) {
	e.steps, e.recalled = 0, false
	switch st := statement.(type) {
	case syntax.Expression:
		return e.result(st.Node)
	case syntax.Assignment:
		return nil, e.assign(st)
	case syntax.Deletion:
		return nil, e.remove(st)
	}
	return nil, e.errorAt(statement, "SyntaxError", "the shell does not know this statement")
}

// object is what an expression stands for: govalue.Encoded, *table, *Sequence, nothing.
type object any

// nothing is the result of a method that only changes something.
type nothing struct{}

// result returns what an expression leaves to be printed.
func (e *evaluation) result(n syntax.Node) (Result, error) {
	var o object
	var err error
	if slice, ok := n.(syntax.Slice); ok {
		o, err = e.longSlice(slice)
	} else {
		o, err = e.evaluate(n)
	}
	if err != nil {
		return nil, err
	}
	switch o := o.(type) {
	case nothing:
		return nil, nil
	case *table:
		if e.recalled { // the kind says how it is read
			if o, err = e.existing(o.name); err != nil {
				return nil, err
			}
		}
		return o.all(), nil
	}
	return o, nil
}

// value evaluates an expression whose result is a value.
func (e *evaluation) value(n syntax.Node) (govalue.Encoded, error) {
	b, err := e.appendValue(nil, n)
	if err != nil {
		return nil, err
	}
	return b, checkValue(b)
}

// evaluate returns what an expression stands for.
func (e *evaluation) evaluate(n syntax.Node) (object, error) {
	switch n := n.(type) {
	case syntax.Name:
		return e.lookUp(n)
	case syntax.Index:
		return e.index(n)
	case syntax.Slice:
		return e.slice(n)
	case syntax.Call:
		return e.call(n)
	case syntax.Attribute:
		return nil, e.errorAt(n, "SyntaxError", "a method is called: ."+n.Name+"(...)")
	case syntax.Lambda:
		return nil, e.errorAt(n, "SyntaxError", "a lambda is only the key of a sort: t.sort(key=lambda x: x[1])")
	case syntax.Unary:
		if n.Operator == "not" {
			return e.not(n)
		}
	case syntax.Binary:
		if n.Operator != "+" && n.Operator != "-" {
			return e.compare(n)
		}
	}
	return e.value(n)
}

func (e *evaluation) errorAt(n interface{ Pos() int }, kind, msg string) error {
	return syntax.ErrorAt(e.src, n.Pos(), kind, msg)
}

// Names returns the names that were assigned.
func (s *Session) Names() []string { return slices.Sorted(maps.Keys(s.names)) }

// TableNamed returns the table that a name stands for.
func (s *Session) TableNamed(name string) string {
	if t, ok := s.names[name]; ok {
		return t.name
	}
	return name
}
