package legacy_test

import (
	"errors"
	"testing"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/value"
)

// TestSortTexts: the texts that CyberDB's clients make of lambdas and functions, and what they
// mean.
func TestSortTexts(t *testing.T) {
	for text, want := range map[string]string{
		"func = lambda x: x[1]":                                  "['path', 1]",
		"func =  lambda x: x[1]\n":                               "['path', 1]",
		"func =  lambda x: x[1] ":                                "['path', 1]",
		"func = lambda x: -x[1]":                                 "['neg', ['path', 1]]",
		"func = lambda d: d['n']":                                "['path', 'n']",
		`func = lambda d: d["n"]`:                                "['path', 'n']",
		"func = lambda v: v[1][0]":                               "['path', 1, 0]",
		"func = lambda s: s[-1]":                                 "['path', -1]",
		"func = lambda x: x":                                     "['path']",
		"func = lambda x: [-x[0], x[1]]":                         "['tuple', ['neg', ['path', 0]], ['path', 1]]",
		"func = lambda x: (x[1], x[0])":                          "['tuple', ['path', 1], ['path', 0]]",
		"func = lambda x: (x[1],)":                               "['tuple', ['path', 1]]",
		"func = lambda x: (x[1])":                                "['path', 1]",
		"func = lambda x: [x]":                                   "['tuple', ['path']]",
		"func = lambda x: x[1], reverse":                         "['path', 1]",
		"func = lambda s: len(s)":                                "['len', ['path']]",
		"func = lambda s: str(s[0])":                             "['str', ['path', 0]]",
		"func = lambda s: s.lower()":                             "['lower', ['path']]",
		"func = lambda s: -len(s['a'].lower())":                  "['neg', ['len', ['lower', ['path', 'a']]]]",
		"func = None":                                            "None",
		"def by_second(x):\n    return x[1]\n\nfunc = by_second": "['path', 1]",
		"def by_both(item):\n    # comment 中文\n    a, b = item\n    return (b, a)\n\nfunc = by_both": "['tuple', ['path', 1], ['path', 0]]",
		"def negate(x):\n    return -len(x[0]), x[1]\n\nfunc = negate":                               "['tuple', ['neg', ['len', ['path', 0]]], ['path', 1]]",
		"def f(x):\n\n    (a, b) = x\n    (c, d) = b  # deeper\n    return d\n\nfunc = f":            "['path', 1, 1]",
	} {
		key, err := legacy.ParseSortText(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, _ := value.Repr(key); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if _, err := value.ParseSortKey(key); want != "None" && err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestSortTextsRefused: all other texts are refused, or answered as Python does that calls what is
// no function; none is executed.
func TestSortTextsRefused(t *testing.T) {
	const refused = "ValueError"
	for text, want := range map[string]string{
		"func = 5":                               "TypeError: 'int' object is not callable",
		"func = 2.5":                             "TypeError: 'float' object is not callable",
		"func = 'x'":                             "TypeError: 'str' object is not callable",
		"func = True":                            "TypeError: 'bool' object is not callable",
		"func = True, key":                       "TypeError: 'tuple' object is not callable",
		"x = 5":                                  refused,
		"":                                       refused,
		"func = lambda s: len(s":                 refused,
		"func =  lambda x: (x[1], x[0]":          refused,
		"func = lambda n: n * n":                 refused,
		"func = lambda n: n % 3 if n > 0 else 0": refused,
		"func = lambda s: s.lower":               refused,
		"func = lambda s: __import__('os').system('echo pwned')": refused,
		"func = len":                                         refused,
		"import os\nfunc = lambda x: x":                      refused,
		"func = lambda x: x\nimport os":                      refused,
		"def f(x):\n    import os\n    return x\n\nfunc = f": refused,
		"def f(x):\n    return y\n\nfunc = f":                refused,
		"def f(x):\n    return x\n\nfunc = g":                refused,
		"def f(x, y=1):\n    return x\n\nfunc = f":           refused,
		"def f(x):\n    return x\n    return x\n\nfunc = f":  refused,
		"func = lambda x: x[y]":                              refused,
		"func = lambda x: x[1:]":                             refused,
		"func = lambda x: " + nested(500):                    refused,
	} {
		_, err := legacy.ParseSortText(text)
		var raised *legacy.Exception
		if !errors.As(err, &raised) || raised.Error() != want && (want != refused || raised.Class != refused) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
}

// FuzzSortText: no text makes the parser panic; what it takes is a sort key that the server can
// use, and what it refuses has its own exception.
func FuzzSortText(f *testing.F) {
	for _, text := range []string{
		"func = lambda x: -x['n'], reverse", "func = lambda s: (len(s[1].lower()), [str(s[-1])])", "func = None", "func = True, key", "func = 2.5",
		"def f(x):\n    # why\n    a, b = x\n    return -a, b\n\nfunc = f",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !value.ValidStr([]byte(text)) {
			return // no pickle holds such a text
		}
		key, err := legacy.ParseSortText(text)
		var raised *legacy.Exception
		switch {
		case err != nil && !errors.As(err, &raised):
			t.Fatal(err)
		case err != nil:
			raised.AppendReply(nil)
		case len(key) == 1 && key[0] == 0xC0: // None
		default:
			if _, err := value.ParseSortKey(key); err != nil {
				t.Fatalf("%q is %x: %v", text, key, err)
			}
		}
	})
}

func nested(n int) string {
	text := "x"
	for range n {
		text = "-(" + text + ")"
	}
	return text
}
