package syntax_test

import (
	"errors"
	"strings"
	"testing"

	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
)

// FuzzPending: lines are asked for as long as Parse says that more could complete the text, and a
// text that parses is not waited for.
func FuzzPending(f *testing.F) {
	for _, seed := range []string{
		"x[\n1]", "'''a\n'''", "f(\"[\",\n# )\n1)", "a\\\n+1", "'a\\\nb'", "'open", "]", "\"\"\"a\"\"", "\\", "r'\\'", "a\\\r",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		var p syntax.Pending
		for line := range strings.SplitSeq(src, "\n") {
			p.Add(line)
		}
		open := p.Open()
		text := p.Take()
		if text != src && text+"\n" != src || p.Open() || p.Len() != 0 {
			t.Fatalf("%q became %q", src, text)
		}
		_, err := syntax.Parse(text)
		var parse *syntax.Error
		if open && err == nil {
			t.Fatalf("%q is complete", text)
		}
		if errors.As(err, &parse) && parse.Incomplete && !open {
			t.Fatalf("%q is not complete: %v", text, err)
		}
	})
}
