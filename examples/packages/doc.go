// Command packages loads a real data set into a server and asks it questions: the index of Debian's
// packages as apt has it on this machine, some 60,000 records, or, where there is no apt, the files
// of Go's standard library.
//
// The records go into a dict of dicts ("packages": name to record, as structs) and a list ("package
// sizes"), in pipelines. Then it looks one up, counts sections from one streamed read, has the
// server sort the list, and finds names by prefix in the sorted list with a few dozen requests. It
// prints what it found and how long each step took.
//
//	go run ./examples/packages --url 'cyberdb://:PASSWORD@127.0.0.1:9980' --limit 10000
package main
