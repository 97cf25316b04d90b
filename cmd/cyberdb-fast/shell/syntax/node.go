package syntax

// Node is an expression.
type Node interface{ Pos() int }

// At is the place of a node: the byte of the text at which it begins.
type At int

// Pos returns the place.
func (a At) Pos() int { return int(a) }

// The expressions.
type (
	// Literal is a constant: a number, a text, bytes, None, True, False, ....
	Literal struct {
		At
		Value []byte // encoded
	}
	// Name is a name.
	Name struct {
		At
		Name string
	}
	// Display is [a, b], (a, b) or {a, b}.
	Display struct {
		At
		Kind  DisplayKind
		Items []Node
	}
	// DictDisplay is {a: b}.
	DictDisplay struct {
		At
		Keys, Values []Node
	}
	// Index is a[b].
	Index struct {
		At
		Of, Index Node
	}
	// Slice is a[b:c:d]; a part that is missing is nil.
	Slice struct {
		At
		Of, Start, Stop, Step Node
	}
	// Attribute is a.name.
	Attribute struct {
		At
		Of   Node
		Name string
	}
	// Call is a(b, c=d).
	Call struct {
		At
		Function Node
		Args     []Node
		Keywords []Keyword
	}
	// Unary is -a, +a or not a.
	Unary struct {
		At
		Operator string
		Operand  Node
	}
	// Binary is a comparison, or the sum of a complex number.
	Binary struct {
		At
		Operator    string // "in", "not in", "==", "!=", "+", "-"
		Left, Right Node
	}
	// Lambda is lambda name: body.
	Lambda struct {
		At
		Parameter string
		Body      Node
	}
)

// Keyword is an argument with a name.
type Keyword struct {
	At
	Name  string
	Value Node
}

// DisplayKind is the kind of a Display.
type DisplayKind uint8

// The kinds of displays.
const (
	List DisplayKind = iota
	Tuple
	Set
)

// Statement is one statement: Expression, Assignment or Deletion.
type Statement interface{ Pos() int }

// The statements.
type (
	// Expression is a statement that is an expression.
	Expression struct{ Node }
	// Assignment is a = b.
	Assignment struct {
		At
		Target, Value Node
	}
	// Deletion is del a.
	Deletion struct {
		At
		Target Node
	}
)
