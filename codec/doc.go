// Package codec is the native wire: frames, opcodes and status codes, exactly as PROTOCOL.md says.
//
// It is pure: no sockets, no goroutines, no clocks. ParseX(b) returns views into b and copies
// nothing; AppendX(dst, x) appends to dst and returns it. A value inside a frame is one encoding of
// package codec/value; the messages that open a connection and prove the password are in package
// codec/secure.
//
// All functions may be called from any goroutine; none keeps what it is given.
package codec
