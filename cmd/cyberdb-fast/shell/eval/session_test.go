package eval_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
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
			s := eval.New(looptest.Client(t))
			for session := range strings.SplitSeq("\n"+string(text), "\n>>> ") {
				src, want, _ := strings.Cut(session, "\n")
				form := eval.Form{}
				if src, form.JSON = strings.CutPrefix(src, "json "); src == "" {
					continue
				}
				got, err := printed(s, src, form)
				if err != nil {
					got += eval.Explain(err)
				}
				if strings.TrimSuffix(got, "\n") != strings.TrimSuffix(want, "\n") {
					t.Errorf(">>> %s\n%s\nis not\n%s", src, got, want)
				}
			}
		})
	}
}
