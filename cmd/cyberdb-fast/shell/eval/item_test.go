package eval_test

import (
	"strings"
	"testing"

	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
	"cyberdb-fast/codec/value"
)

// TestWord: a word of the command line is a literal, or else a text.
func TestWord(t *testing.T) {
	for word, repr := range map[string]string{
		"36": "36", "-1.5": "-1.5", "'36'": "'36'", `b"\xff"`: `b'\xff'`, `("a", [1, {2}])`: "('a', [1, {2}])",
		"Decimal('1.1')": "Decimal('1.1')", "None": "None", "{}": "{}",
		"datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)": "datetime.datetime(2024, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)",
		"ada": "'ada'", "": "''", "users['x']": `"users['x']"`, "len(x)": "'len(x)'", "not 1": "'not 1'", "x = 1": "'x = 1'",
		"dict('x')": `"dict('x')"`, "exit()": "'exit()'", "d'Artagnan": `"d'Artagnan"`, "I'm": `"I'm"`, "a 1": "'a 1'", "-": "'-'",
		"-x": "'-x'", "a\nb": "'a\\nb'", "caf\u00e9; x": "'caf\u00e9; x'", "true": "'true'",
		"2024-01-01": "'2024-01-01'", "10.0.0.1": "'10.0.0.1'", "4f3e": "'4f3e'", "-5x": "'-5x'", "1; 2": "'1; 2'",
	} {
		b, err := eval.Word(word)
		if got, _ := value.Repr(b); err != nil || got != repr {
			t.Errorf("%q is %s, not %s (%v)", word, got, repr, err)
		}
	}
}

// TestWordMalformed: a literal with a mistake is not stored as a text.
func TestWordMalformed(t *testing.T) {
	for word, want := range map[string]string{
		`{"a": true}`:     "SyntaxError: this is no literal; for a text, ",
		"{'a': 1":         "SyntaxError: '{' was never closed",
		"[a]":             "SyntaxError: this is no literal",
		"[1 2":            "SyntaxError: ",
		"(1, 2":           "SyntaxError: '(' was never closed",
		"'ada":            "SyntaxError: ",
		`b"\xf"`:          "SyntaxError: ",
		"{[]: 1}":         "TypeError: unhashable type: 'list'",
		"Decimal('x')":    "ValueError: ",
		"Decimal('1.1'":   "SyntaxError: '(' was never closed",
		"datetime.date(1": "SyntaxError: '(' was never closed",
	} {
		if b, err := eval.Word(word); err == nil || !strings.HasPrefix(eval.Explain(err), want) {
			t.Errorf("%q became %x, %v", word, b, err)
		}
	}
}

// FuzzWord: every word is a value that can be stored, unless it is no UTF-8.
func FuzzWord(f *testing.F) {
	for _, seed := range []string{
		"{1: [2], (3,): {4}}", "-1+2j", "Decimal('NaN')", "datetime.time(1, tzinfo=timezone(timedelta(hours=-25)))", "deque([1], 0)",
		"Fraction(1, 0)", "UUID('x')", "range(1, 2, 0)", "OrderedDict([(1, 2)])", "Counter({1: 2})", "set([1, 1.0])",
		"timedelta(weeks=99999999999999999999)", "date(2023, 2, 29)", "float('1e999')", "--True", "{float('nan'), float('nan')}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		b, err := eval.Word(word)
		if err != nil {
			return
		}
		if n, err := value.Check(b); (err != nil || n != len(b)) && value.ValidStr([]byte(word)) {
			t.Fatalf("%q became %x: %v", word, b, err)
		}
	})
}
