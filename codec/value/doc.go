// Package value works on the encoding of values that VALUES.md describes: one MessagePack object
// for one Python object.
//
// A server stores values encoded and works on the bytes. Check checks received bytes once; all
// other functions take checked bytes. Size, TypeName, Equal, Less, Key, Add, Str, Repr, Lower and
// SortKey give the answers that CPython 3.11 gives for the objects that the bytes stand for, its
// error texts included. Each uses the one value at the front of its arguments and ignores what
// follows.
//
// Package govalue turns Go values into encodings and back.
//
// Callers must not pass unchecked bytes to anything but Check and ReadExt. Invalid bytes never
// corrupt memory, but they may cause a panic with an index out of range. All functions are safe for
// concurrent use; none retains its arguments, but Key and SortKey may return views into them.
package value
