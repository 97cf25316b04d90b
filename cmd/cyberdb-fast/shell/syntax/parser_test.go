package syntax_test

import (
	"errors"
	"strings"
	"testing"

	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
)

// TestErrorsPoint: an error says what is wrong, where, and what to write instead.
func TestErrorsPoint(t *testing.T) {
	for _, c := range []struct{ src, place, says string }{
		{`users["ada"`, `["ada"`, "'[' was never closed"},
		{`users["ada"]]`, `]`, "unmatched ']'"},
		{`(1]`, `]`, "does not close '('"},
		{`users["n"] += 1`, `+= 1`, "increment"},
		{`1 * 2`, `* 2`, "no arithmetic"},
		{`d["k" * 2]`, `* 2`, "no arithmetic"},
		{`f"x"`, `f"x"`, "no formatted strings"},
		{`"abc`, `"abc`, "not closed"},
		{`"\x1"`, `"\x1"`, "hexadecimal digits"},
		{`"\N{no such thing}"`, `"\N`, "no character is named"},
		{`012`, `012`, "0o17"},
		{`import os`, `import os`, "no `import`"},
		{`for x in y: pass`, `for`, "no `for`"},
		{`[x for x in y]`, `for x in y]`, "no comprehensions"},
		{`f(*args)`, `*args`, "no `*`"},
		{`f(a=1, a=2)`, `a=2`, "given twice"},
		{`f(a=1, 2)`, `2)`, "before those with one"},
		{`a = b = c`, `= c`, "one target"},
		{`5 = a`, `5 = a`, "nothing can be assigned"},
		{`del f(x)`, `(x)`, "del removes an item"},
		{`users[]`, `]`, "a key or an index"},
		{`a < b`, `< b`, "==, != and in"},
		{"x = 1\ny $ 2", `$ 2`, "'$' cannot stand here"},
		{"'a\xffb'", "\xffb'", "not UTF-8"},
		{"'a\x00b'", "\x00b'", "NUL"},
		{`b"é"`, `b"é"`, "ASCII"},
		{`b"a" "b"`, `b"a"`, "cannot be joined"},
		{"1 2", "2", "the end of the statement is expected"},
		{"__import__('os').system('x') and 1", "and 1", "no `and`"},
	} {
		_, err := syntax.Parse(c.src)
		var parse *syntax.Error
		if !errors.As(err, &parse) {
			t.Errorf("%q: %v", c.src, err)
			continue
		}
		if !strings.Contains(parse.Msg, c.says) || !strings.HasPrefix(parse.Text[parse.Column:], c.place) {
			t.Errorf("%q: %v, at %q", c.src, parse, parse.Text[parse.Column:])
		}
	}
}

// TestIncomplete: more lines are asked for only where they can complete the text.
func TestIncomplete(t *testing.T) {
	for src, incomplete := range map[string]bool{
		"users[": true, "f(1,\n2": true, "'''a\n": true, "x = {\n'a': [1, # ]\n": true, "a \\": true, "'a\\\n": true,
		"users]": false, "'a": false, "users[1": true, "1 +": false, "[1)": false, "": false,
	} {
		_, err := syntax.Parse(src)
		var parse *syntax.Error
		if got := errors.As(err, &parse) && parse.Incomplete; got != incomplete {
			t.Errorf("%q: incomplete is %v (%v)", src, got, err)
		}
	}
}

// TestPointed: the caret is below the place, on narrow terminals and in long lines too.
func TestPointed(t *testing.T) {
	long := "users['" + strings.Repeat("k", 100_000) + "'] $ 1"
	for _, width := range []int{20, 80} {
		for _, src := range []string{"1 $ 2", "日本 $ 1", long} {
			_, err := syntax.Parse(src)
			var parse *syntax.Error
			if !errors.As(err, &parse) {
				t.Fatalf("%.20q: %v", src, err)
			}
			lines := strings.Split(parse.Pointed(width), "\n")
			if len(lines) != 3 || len([]rune(lines[0])) > width {
				t.Fatalf("%.20q: %q", src, lines)
			}
			if src == "日本 $ 1" {
				lines[0] = strings.NewReplacer("日", "xx", "本", "xx").Replace(lines[0])
			}
			if at := strings.Index(lines[0], "$"); at != strings.Index(lines[1], "^") {
				t.Errorf("width %d: the caret is not below $:\n%s\n%s", width, lines[0], lines[1])
			}
		}
	}
}

// TestNesting: text that is nested too deeply is refused.
func TestNesting(t *testing.T) {
	for _, src := range []string{
		strings.Repeat("[", 100_000), strings.Repeat("-", 100_000) + "1", strings.Repeat("not ", 100_000) + "a",
		"a" + strings.Repeat("[0]", 100_000), strings.Repeat("lambda x: ", 100_000) + "x", strings.Repeat("[(", 5000),
	} {
		if _, err := syntax.Parse(src); err == nil || !strings.Contains(err.Error(), "nested") {
			t.Errorf("%.10q...: %v", src, err)
		}
	}
}

// FuzzParse: no text makes the parser panic or point outside of it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`users["ada"] = {"age": 36, 'x': (1, 2.5e-7j, b'\xff', None)}`, `del queue[-3:]`, `"a" not in t`, "1__0", "'''\n",
		`l.sort(key=lambda x: (x[1], -x["n"], x.lower()), reverse=True)`, "\\N{", "0x_", "1e+", "{1:2, 3}", "a;b\n#c", "r'\\",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		statements, err := syntax.Parse(src)
		var parse *syntax.Error
		if err != nil && !errors.As(err, &parse) {
			t.Fatal("another error", err)
		}
		if parse != nil {
			if parse.Line < 1 || parse.Column < 0 || parse.Column > len(parse.Text) || parse.Msg == "" {
				t.Fatalf("%+v", parse)
			}
			_ = parse.Error() + parse.Pointed(20)
		}
		for _, st := range statements {
			if st.Pos() < 0 || st.Pos() > len(src) {
				t.Fatal("outside of the text", st.Pos())
			}
		}
	})
}
