package eval_test

import (
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
		"ada": "'ada'", "": "''", "users['x']": `"users['x']"`, "1 2": "'1 2'", `{"a": true}`: `'{"a": true}'`,
		"len(x)": "'len(x)'", "[a]": "'[a]'", "not 1": "'not 1'", "x = 1": "'x = 1'", "{[]: 1}": "'{[]: 1}'", "1; 2": "'1; 2'",
		"dict('x')": `"dict('x')"`, "exit()": "'exit()'",
	} {
		if got, err := value.Repr(eval.Word(word)); err != nil || got != repr {
			t.Errorf("%q is %s, not %s (%v)", word, got, repr, err)
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
		b := eval.Word(word)
		if n, err := value.Check(b); (err != nil || n != len(b)) && value.ValidStr([]byte(word)) {
			t.Fatalf("%q became %x: %v", word, b, err)
		}
	})
}
