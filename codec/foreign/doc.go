// Package foreign knows other protocols by their first bytes: of a client that has met a
// cyberdb-fast server by mistake, which is answered in its own language, and of a server that a
// client of cyberdb-fast has met.
//
// It is pure: bytes in, bytes out. What the first bytes of the native protocol are is
// codec/secure's to say, and what those of CyberDB's wire are is codec/legacy's: ask them first.
package foreign
