package main

import (
	"os"
	"strings"
	"testing"

	"cyberdb-fast/loop/looptest"
)

// TestRun checks what the program prints, on a new server and on one that has its tables already.
func TestRun(t *testing.T) {
	db := looptest.Client(t)
	const want = "Ada is 36\n" +
		"cyberdb: DICT GET \"users\": KeyError: 'eve'\n" +
		"apple [banana cherry]\n"
	for range 2 {
		var out strings.Builder
		if err := run(t.Context(), db, &out); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("got:\n%swant:\n%s", out.String(), want)
		}
	}
}

// TestReadme checks that the README shows this program.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```go\n"+string(program)+"```\n") {
		t.Error("README.md does not hold examples/quickstart/main.go as it is")
	}
}
