// Package legacy speaks the wire of CyberDB 0.9.3, a Python package, as its server does, and reads
// its files. LEGACY.md has both.
//
// A Wire is the state of one connection: it takes the messages apart as their bytes come, plain or
// encrypted. A Request is what a message asks for, as a request of the native protocol; its Reply
// makes the answer's pickle of the native reply. So both wires go through one command table.
// ParseFile reads the files that CyberDB kept its tables in.
//
// It is pure: no sockets, no goroutines, no clocks. Nothing that a message or a file says is
// executed: not the classes of a pickle, and not the text of a sort key, of which ParseSortText
// knows a few forms. A Cipher may be used by any goroutine; a Wire and a Request belong to one.
//
// What callers must not do: take the encryption for protection. It is CyberDB's own, one key stream
// for every message: who listens reads it.
package legacy
