// Package legacy implements the server side of the protocol of CyberDB 0.9.3, a Python package, and
// reads its files. LEGACY.md describes both.
//
// A Wire is the state of one connection: it splits the bytes received, plain or encrypted, into
// messages. A Request translates a message into a request of the native protocol, and the native
// reply into the pickle of the answer. So both protocols use one command table. ParseFile reads
// CyberDB's data files.
//
// It is pure: no sockets, no goroutines, no clocks. Nothing in a message or a file is executed:
// neither the classes of a pickle nor the text of a sort key, of which ParseSortText recognizes a
// few forms. A Cipher is safe for concurrent use; a Wire and a Request are not.
//
// Callers must not rely on the encryption. It is CyberDB's own, with one key stream for every
// message: an eavesdropper can read it.
package legacy
