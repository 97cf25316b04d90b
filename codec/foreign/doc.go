// Package foreign recognizes other protocols by their first bytes. A client of another protocol
// that has connected to a cyberdb-fast server gets an answer in its own protocol. A cyberdb-fast
// client that has connected to another server can report what it speaks.
//
// It is pure: bytes in, bytes out. Packages codec/secure and codec/legacy recognize the native
// protocol and that of CyberDB: ask them first.
package foreign
