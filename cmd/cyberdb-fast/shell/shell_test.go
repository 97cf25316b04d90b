package shell_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/cmd/cyberdb-fast/shell"
	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/loop/looptest"
)

// TestScript: statements may take several lines; the first error ends the script.
func TestScript(t *testing.T) {
	db := looptest.Client(t)
	key := strings.Repeat("k", 1<<20)
	long := "d['list'] = [\n" + strings.Repeat("(1, 'x'),\n", 50_000) + "]\nlen(d['list'])\n"
	for _, c := range []struct{ script, prints, fails string }{
		{"", "", ""},
		{"\n\n# nothing\n", "", ""},
		{"d = dict('d')\nd['" + key + "'] = b'\\x00\\xff'; d['" + key + "']", "b'\\x00\\xff'\n", ""},
		{"d.keys()", "['" + key + "']\n", ""},
		{"d.clear(); {\n1: '''a\nb'''}\n", "{1: 'a\\nb'}\n", ""},
		{long, "50000\n", ""},
		{"1\nd['x']\n2", "1\n", "KeyError: 'x'"},
		{"1\n2 2\n3", "1\n", "SyntaxError: "},
		{"[1,\n2", "", "SyntaxError: '[' was never closed"},
		{".tables x", "", "usage: .tables"},
		{".tail a b", "", "usage: .tail"},
		{".tail --min-ms x", "", "--min-ms takes a number"},
		{".nope", "", "no command .nope"},
		{".", "", "no command .:"},
		{".TABLES", "", "no command .TABLES:"},
		{"1; .tables", "", "SyntaxError: a command such as .tables has a line of its own"},
		{"...", "Ellipsis\n", ""},
		{"1\nexit\n2", "1\n", ""},
		{"quit()\n2", "", ""},
		{"exit = dict('e'); exit[1] = 2\nexit\n", "{1: 2}\n", ""},
		{".help increment", "dict.increment(key, by=1, *, ttl=None): adds to the value of key, and returns the sum\n", ""},
		{".help nope", "", "no method nope"},
		{".5", "0.5\n", ""},
		{".info nope", "", "ValueError: INFO has no section 'nope'"},
	} {
		var out bytes.Buffer
		err := shell.New(db, &out, shell.Options{Timeout: 20 * time.Second}).
			Script(t.Context(), strings.NewReader(c.script))
		failed := ""
		if err != nil {
			failed = eval.Explain(err)
		}
		if !strings.HasPrefix(failed, c.fails) || c.fails == "" && err != nil || out.String() != c.prints {
			t.Errorf("%.40q prints %.80q, fails with %.80q", c.script, out.String(), failed)
		}
		var parse *syntax.Error
		if strings.HasPrefix(c.fails, "SyntaxError") && !errors.As(err, &parse) {
			t.Errorf("%.40q: %v is no error of the parser", c.script, err)
		}
	}
}

// TestHelpWords: help and help() are what a user of Python types.
func TestHelpWords(t *testing.T) {
	db := looptest.Client(t)
	for _, script := range []string{"help", "help()", ".help"} {
		var out bytes.Buffer
		if err := shell.New(db, &out, shell.Options{}).Script(t.Context(), strings.NewReader(script)); err != nil ||
			!strings.Contains(out.String(), "Methods of a dict: ") {
			t.Errorf("%s prints %q, %v", script, out.String(), err)
		}
	}
}
