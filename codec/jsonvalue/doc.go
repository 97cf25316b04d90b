// Package jsonvalue converts values to JSON and back without loss, including types and order.
//
//	{"name": "ada", "age": 36}           a dict whose keys are str
//	{"$dict": [[1, "one"], [2, "two"]]}  any other
//	{"$tuple": [1, 2.0, true, null]}     other types: an object with one key that begins with $
//
// The format is specified in persist/FORMAT.md, "JSON lines". The package is pure; its functions
// are safe for concurrent use.
package jsonvalue
