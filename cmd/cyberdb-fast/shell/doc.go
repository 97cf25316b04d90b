// Package shell is the shell of the command line: statements in Python's syntax and dot commands,
// typed on a terminal or read from a script.
//
// Package syntax parses the statements, package eval executes them through the Go client, and
// package views shows what the server does. A Shell joins them. Interactive talks with a terminal:
// line editing, history, completion, pages that end with q or Ctrl-C. Script executes a text up to
// its first error.
package shell
