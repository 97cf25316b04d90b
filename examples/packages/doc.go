// Command packages loads a real data set into a server and queries it: apt's index of Debian's
// packages on this machine, some 60,000 records. Without apt it takes the files of Go's standard
// library.
//
// It writes the records in pipelines to a dict of structs ("packages", by name) and a list ("package
// sizes"). Then it looks up one record, counts the sections in one streamed read, has the server
// sort the list, and finds names by prefix in the sorted list with a few dozen requests. It prints
// the answers and how long each step took.
//
//	go run ./examples/packages --url 'cyberdb://:PASSWORD@127.0.0.1:9980' --limit 10000
package main
