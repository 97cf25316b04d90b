// Package govalue turns Go values into encodings of package value and back: Append, Marshal,
// Decode, Unmarshal. Clients and tests use it; a server keeps values encoded and does not need it.
//
// This package has Go types for the Python types that Go lacks: Tuple, Set, FrozenSet, Decimal,
// DateTime, Range and more. Decode gives them; structs, maps and slices are mapped by reflection,
// as in encoding/json.
//
// Decode and Unmarshal accept untrusted bytes: they check what they read. They do not check
// everything that value.Check checks, such as that the members of a set differ. All functions are
// safe for concurrent use, and none retains its arguments.
package govalue
