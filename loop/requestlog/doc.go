// Package requestlog keeps requests that an operator may ask for: the slow and the large ones
// (Ring), and those of the present (Tail).
//
// It shows a request's command, table, key, client and times, never a value. Its memory is bounded:
// a ring keeps the newest entries, and a key in short form. Ring and Tail may be used from any
// goroutine.
package requestlog
