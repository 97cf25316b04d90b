// Package pickle turns Python's pickles into values of codec/value and back, without running
// anything that a pickle says.
//
// An Unpickler reads protocols 0 to 5 into a graph of plain objects. It looks nothing up and calls
// nothing: the classes of Classes are known by their exact module and name, and what their pickles
// hold is taken apart here; every other class is remembered by name and refused. An Object of the
// graph is turned into a value's encoding by Append. A value has no place for identity: an object
// that is referred to twice is copied, one that holds itself is refused. The other way, Append
// makes pickles of protocol 4.
//
// Everything is bounded before it is allocated: a length by the bytes that are there, the memo by
// the bytes read, objects by Limits, nesting, digits and sizes by what a value may have. The graph
// takes some 30 bytes an object; nothing is expanded before its size is known.
//
// An Unpickler is for one goroutine and is used again and again; its Objects are good until its
// next Parse, and as long as the bytes parsed.
package pickle
