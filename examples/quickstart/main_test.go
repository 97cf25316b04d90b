package main

import (
	"os"
	"strings"
	"testing"

	"cyberdb-fast/loop/looptest"
)

// TestRun runs the program on a fresh server, then on one that already has its tables.
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

// TestReadme checks that the Go lines of README.md are lines of this program.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, excerpt, found := strings.Cut(string(readme), "\n```go\n")
	excerpt, _, _ = strings.Cut(excerpt, "```\n")
	indented := "\t" + strings.TrimSuffix(strings.ReplaceAll(excerpt, "\n", "\n\t"), "\t")
	if !found || !strings.Contains(string(program), indented) {
		t.Errorf("main.go does not hold these lines of README.md:\n%s", excerpt)
	}
}
