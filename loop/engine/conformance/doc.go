// Package conformance compares an engine, or a whole server, with CPython: it executes random
// operations on dicts and lists of both, and compares the outcomes. It is for tests, and needs
// python3.
//
// Check is the comparison. An Oracle is the CPython process; Operations makes the random
// operations. Other tests use them too. Seed and Count are the seed and the length of a random
// test: CYBERDB_SEED repeats a run, CYBERDB_OPS and CYBERDB_LONG make it longer.
package conformance
