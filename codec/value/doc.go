// Package value works on the encoding of values that VALUES.md describes: one MessagePack object
// for one Python object.
//
// A server keeps values encoded and asks questions of the bytes: Check says once whether foreign
// bytes are a value; everything else takes checked bytes. Size, TypeName, Equal, Less, Key, Add,
// Str, Repr, Lower and SortKey give the answers that CPython 3.11 gives for the objects that the
// bytes stand for, its error texts included. Each looks at the one value at the front of its
// arguments and passes over what follows.
//
// Package govalue turns Go values into encodings and back.
//
// What callers must not do: hand unchecked bytes to anything but Check and ReadExt. Wrong bytes are
// never a danger to memory, but they may panic with an index out of range. All functions are safe
// for concurrent use; none keeps what it is given, but Key and SortKey may return views into it.
package value
