// Command packages loads a real data set into a server and queries it. The data set is apt's index
// of Debian packages on this machine, some 60,000 records. Without apt, it is the files of Go's
// standard library.
//
// The records go into a dict of dicts ("packages": name to record, as structs) and a list ("package
// sizes"), in pipelines. Then the command looks one up, counts sections from one streamed read,
// lets the server sort the list, and finds names by prefix in the sorted list with a few dozen
// requests. It prints what it found and how long each step took.
//
//	go run ./examples/packages --url 'cyberdb://:PASSWORD@127.0.0.1:9980' --limit 10000
package main
