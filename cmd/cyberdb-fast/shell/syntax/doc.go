// Package syntax parses the statements of the shell: a part of Python's syntax, which is read and
// never executed as code.
//
// Parse returns statements: an expression, an assignment or a del. Expressions are Python's
// literals and displays, names, subscripts, slices, attributes, calls, comparisons, unary minus and
// the lambda of a sort key. Literals are encoded as package value has them, so that no value loses
// anything on its way. All else of Python is an Error that says what to write instead.
//
// The package is pure; its functions are safe for concurrent use.
package syntax
