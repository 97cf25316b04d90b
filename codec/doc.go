// Package codec implements the native protocol: frames, opcodes and status codes, as PROTOCOL.md
// specifies them.
//
// It is pure: no sockets, no goroutines, no clocks. ParseX(b) returns views into b and copies
// nothing; AppendX(dst, x) appends to dst and returns it. Values inside frames are encodings of
// package codec/value. The messages that open and authenticate a connection are in package
// codec/secure.
//
// All functions are safe for concurrent use; none retains its arguments.
package codec
