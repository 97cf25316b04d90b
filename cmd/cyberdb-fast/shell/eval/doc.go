// Package eval executes the statements of the shell on a server, through the Go client.
//
// A Session keeps the names that were assigned. Run executes one statement; its result is nothing,
// a value (govalue.Encoded) or a *Sequence, which reads a whole table page by page. Values stay
// encoded on their way, so that none loses anything. Explain returns an error as Python prints it.
//
// A Session is for one goroutine.
package eval
