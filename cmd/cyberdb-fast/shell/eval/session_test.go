package eval_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/loop/looptest"
)

// TestSessions runs the sessions in testdata: what follows >>> is executed on a real server, what
// follows that is printed.
func TestSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			runSession(t, string(text), eval.Explain)
		})
	}
}

// TestDocument runs the session in docs/SHELL.md.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/SHELL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("## The shell\n"))
	_, session, _ := strings.Cut(string(text), "\n    ")
	session, _, _ = strings.Cut(session, "\n\n")
	runSession(t, strings.ReplaceAll(session, "\n    ", "\n"), func(err error) string {
		var parse *syntax.Error
		if errors.As(err, &parse) {
			return parse.Pointed(80)
		}
		return eval.Explain(err)
	})
}

// runSession executes what follows >>> on a real server, and compares what it prints.
func runSession(t *testing.T, text string, explain func(error) string) {
	t.Helper()
	s := eval.New(looptest.Client(t))
	count := 0
	for session := range strings.SplitSeq("\n"+text, "\n>>> ") {
		src, want, _ := strings.Cut(session, "\n")
		form := eval.Form{}
		if src, form.JSON = strings.CutPrefix(src, "json "); src == "" {
			continue
		}
		count++
		got, err := printed(s, src, form)
		if err != nil {
			got += explain(err)
		}
		if strings.TrimSuffix(got, "\n") != strings.TrimSuffix(want, "\n") {
			t.Errorf(">>> %s\n%s\nis not\n%s", src, got, want)
		}
	}
	if count < 5 {
		t.Errorf("only %d statements were found", count)
	}
}
