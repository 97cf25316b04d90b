package value_test

import (
	"bufio"
	"encoding/hex"
	"math/big"
	"os"
	"strings"
	"testing"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// goldenLines yields the fields of each line of a file in testdata; the encoding in field is
// decoded.
func goldenLines(t testing.TB, name string, field int, yield func(fields []string, b []byte)) {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		fields := strings.Split(lines.Text(), "\t")
		b, err := hex.DecodeString(fields[field])
		if err != nil {
			t.Fatal(err)
		}
		yield(fields, b)
	}
	if n < 100 {
		t.Fatalf("%s has %d lines", name, n)
	}
}

// mustAppend returns the encoding of a Go value.
func mustAppend(t *testing.T, v any) []byte {
	t.Helper()
	b, err := govalue.Marshal(v)
	if err != nil {
		t.Fatalf("Marshal(%#v): %v", v, err)
	}
	return b
}

func power(base, exponent int64) *big.Int {
	return new(big.Int).Exp(big.NewInt(base), big.NewInt(exponent), nil)
}

func negated(x *big.Int) *big.Int { return new(big.Int).Neg(x) }

func TestGoldenValues(t *testing.T) {
	goldenLines(t, "values.txt", 1, func(fields []string, b []byte) {
		name, repr := fields[0], fields[2]
		if n, err := value.Check(b); err != nil || n != len(b) {
			t.Errorf("%s: Check gave %d, %v", name, n, err)
			return
		}
		if n := value.Size(append(b[:len(b):len(b)], 0xC1)); n != len(b) {
			t.Errorf("%s: Size is %d, not %d", name, n, len(b))
		}
		if got, err := value.Repr(b); err != nil || got != repr {
			t.Errorf("%s: repr %s, %v; want %s", name, got, err, repr)
		}
		if equal := value.Equal(b, append([]byte(nil), b...)); equal == strings.Contains(strings.ToLower(repr), "nan") {
			t.Errorf("%s: equal to itself: %v", name, equal)
		}
	})
}

// TestGoldenCutAnywhere holds Check to ErrTruncated for every beginning of a value, and to be
// content with what follows one.
func TestGoldenCutAnywhere(t *testing.T) {
	goldenLines(t, "values.txt", 1, func(fields []string, b []byte) {
		for n := range min(len(b), 300) {
			if _, err := value.Check(b[:n]); err != value.ErrTruncated { //nolint:errorlint // promised itself
				t.Errorf("%s cut to %d bytes: %v", fields[0], n, err)
			}
		}
	})
}

func TestRecordedReprs(t *testing.T) {
	text := func(field string) string {
		b, err := hex.DecodeString(field)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	goldenLines(t, "repr.txt", 0, func(fields []string, b []byte) {
		if got, err := value.Repr(b); err != nil || got != text(fields[1]) {
			t.Errorf("%x: repr %q, %v; want %q", b, got, err, text(fields[1]))
		}
		if got, err := value.Str(b); err != nil || got != text(fields[2]) {
			t.Errorf("%x: str %q, %v; want %q", b, got, err, text(fields[2]))
		}
	})
}
