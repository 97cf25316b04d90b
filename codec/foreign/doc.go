// Package foreign recognizes other protocols by their first bytes: those of a client that has
// connected to a cyberdb-fast server by mistake, which gets an answer in its own protocol, and
// those of a server to which a client of cyberdb-fast has connected.
//
// It is pure: bytes in, bytes out. Packages codec/secure and codec/legacy recognize the native
// protocol and that of CyberDB: ask them first.
package foreign
