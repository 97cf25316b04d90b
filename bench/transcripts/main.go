// Command transcripts replays recorded conversations of CyberDB's clients and server against this
// server. It sends the client's bytes again and compares the replies after unpickling. rules.go
// lists the intended differences; all others are printed.
//
//	transcripts DIR...
//
// Its last line is "transcripts: N replayed, M different". The exit code is 1 if M is not 0, or if
// N is. The form of the recordings is that of codec/legacy/testdata/transcripts.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: transcripts DIR...")
		os.Exit(2)
	}
	var all result
	for _, dir := range os.Args[1:] {
		if err := replayDir(dir, &all, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "transcripts:", err)
			os.Exit(2)
		}
	}
	all.write(os.Stdout)
	if all.replayed == 0 || all.different > 0 {
		os.Exit(1)
	}
}
