// Package jsonvalue writes values as JSON and reads them back: every value comes back as itself,
// type, order and all.
//
//	{"name": "ada", "age": 36}           a dict whose keys are str
//	{"$dict": [[1, "one"], [2, "two"]]}  any other
//	{"$tuple": [1, 2.0, true, null]}     what JSON has no form for is an object with one key that begins with a dollar
//
// The exact text of the form is in persist/FORMAT.md, "JSON lines". The package is pure; its
// functions may be called from any goroutine.
package jsonvalue
