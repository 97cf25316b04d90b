// Package pickle converts Python's pickles to values of codec/value and back, without executing
// anything in a pickle.
//
// An Unpickler reads protocols 0 to 5 into a graph of plain objects. It imports and calls nothing:
// it recognizes supported classes by their exact module and name and parses the content of their
// pickles itself. Every other class is rejected by name. Object.Append converts an object of the
// graph to a value's encoding. Values have no identity: an object that is referenced twice is
// copied, one that contains itself is rejected. In the other direction, AppendPickle writes pickles
// of protocol 4.
//
// Everything is bounded before it is allocated: a length by the available bytes, the memo by the
// bytes read, objects by MaxObjects, nesting, digits and sizes by the limits of a value. The graph
// takes about 30 bytes an object; nothing is expanded before its size is known.
//
// An Unpickler is reusable, but not safe for concurrent use. Its Objects are valid until its next
// Parse, and as long as the parsed bytes.
package pickle
