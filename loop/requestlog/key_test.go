package requestlog_test

import (
	"bytes"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/requestlog"
)

// TestKeyText: a key is shown as Python's repr, at most 64 characters of it, whatever its size;
// what is kept of it is small.
func TestKeyText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  any
		want string
	}{
		{"ada", "'ada'"},
		{7, "7"},
		{nil, "None"},
		{[]byte("a\x00"), `b'a\x00'`},
		{govalue.Tuple{1, "x"}, "(1, 'x')"},
		{strings.Repeat("k", 62), "'" + strings.Repeat("k", 62) + "'"},
		{strings.Repeat("k", 63), "'" + strings.Repeat("k", 60) + "..."},
		{strings.Repeat("k", 1<<20), "'" + strings.Repeat("k", 60) + "..."},
		{strings.Repeat("ü", 1<<20), "'" + strings.Repeat("ü", 60) + "..."},
		{"a" + strings.Repeat("😀", 1<<18), "'a" + strings.Repeat("😀", 59) + "..."},
		{bytes.Repeat([]byte{0xff}, 1<<20), "b'" + strings.Repeat(`\xff`, 14) + `\xf...`},
		{govalue.Tuple{strings.Repeat("k", 1<<20)}, "<tuple of 1048588 bytes>"},
		{new(big.Int).Lsh(big.NewInt(1), 1<<15), "<int of 4101 bytes>"},
	} {
		key, err := govalue.Append(nil, c.key)
		if err != nil {
			t.Fatal(err)
		}
		kept := requestlog.AppendKey(nil, key)
		if text := requestlog.KeyText(kept); text != c.want || utf8.RuneCountInString(text) > 64 {
			t.Errorf("%s, want %s", text, c.want)
		}
		if len(kept) > 300 {
			t.Errorf("%.20v: %d bytes are kept", c.key, len(kept))
		}
	}
	if text := requestlog.KeyText(nil); text != "" {
		t.Errorf("%q of no key", text)
	}
}
