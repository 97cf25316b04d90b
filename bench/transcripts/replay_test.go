package main

import (
	"strings"
	"testing"
)

// TestTranscripts: recorded conversations differ only as the rules permit.
func TestTranscripts(t *testing.T) {
	var all result
	var out strings.Builder
	if err := replayDir("../../codec/legacy/testdata/transcripts", &all, &out); err != nil {
		t.Fatal(err)
	}
	all.write(&out)
	t.Log(out.String())
	if all.replayed < 97 || all.compared < 5900 || all.different > 0 {
		t.Errorf(
			"%d transcripts replayed, %d answers compared, %d transcripts different",
			all.replayed,
			all.compared,
			all.different,
		)
	}
	if all.skipped*50 > all.compared {
		t.Errorf("%d of %d answers could not be compared", all.skipped, all.compared)
	}
}

// TestDifferencesShow: a wrong reply is found.
func TestDifferencesShow(t *testing.T) {
	x, err := readTranscript("../../codec/legacy/testdata/transcripts/enc_tutorial.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for i := range x.lines { // changes the recorded text, as if the original had replied so
		l := &x.lines[i]
		if n := len(l.bytes); !l.fromClient() && n > 60 {
			l.bytes[n/2] ^= 1
			changed++
		}
	}
	var all result
	var out strings.Builder
	if err := replay(x, &all, &out); err != nil {
		t.Fatal(err)
	}
	if changed == 0 || all.different != 1 || strings.Count(out.String(), "\n") == 0 {
		t.Errorf("%d answers changed, %d transcripts different\n%s", changed, all.different, &out)
	}
}
