// Package govalue turns Go values into encodings of package value and back: Append, Marshal,
// Decode, Unmarshal. Clients use it, and tests; a server keeps values encoded and needs none of it.
//
// Go types stand for those of Python's that Go has not: Tuple, Set, FrozenSet, Decimal, DateTime,
// Range and more. Decode gives them; structs, maps and slices are mapped by reflection, as in
// encoding/json.
//
// Foreign bytes are no danger to Decode and Unmarshal: they check what they read. What they do not
// check, such as that the members of a set differ, is for value.Check to say. All functions are
// safe for concurrent use, and none keeps what it is given.
package govalue
