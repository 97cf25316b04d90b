// Package conformance has CPython judge an engine, or a whole server: it makes random operations on
// dicts and lists there and on CPython's own, and compares the outcomes. It is for tests, and needs
// python3.
//
// Check is the comparison. A Judge is the CPython process behind it, and Operations what makes the
// operations; other tests use them too. Seed and Count say how a random test begins, and how long
// it is: CYBERDB_SEED repeats a run, CYBERDB_OPS and CYBERDB_LONG make it longer.
package conformance
