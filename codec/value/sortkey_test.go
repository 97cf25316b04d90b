package value_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

func TestParseSortKeyNamesTheFault(t *testing.T) {
	for _, c := range []struct {
		key  any
		want string
	}{
		{1, "int where None or a list belongs"},
		{[]any{}, "an empty list"},
		{[]any{1}, "int where the name of a form belongs"},
		{[]any{"upper", nil}, "unknown form 'upper'"},
		{[]any{"neg"}, "'neg' takes one sort key, not 0"},
		{[]any{"len", nil, nil}, "'len' takes one sort key, not 2"},
		{[]any{"tuple", nil, []any{"neg", []any{"lambda"}}}, "in tuple[2].neg[1]: unknown form 'lambda'"},
		{[]any{"path", 0, govalue.Slice{Start: 1}}, "in path[2]: a slice"},
	} {
		_, err := value.ParseSortKey(mustAppend(t, c.key))
		var e *value.Error
		if !errors.As(err, &e) || e.Kind != value.ValueError || e.Msg != "sort key: "+c.want {
			t.Errorf("%v: %v, want %q", c.key, err, c.want)
		}
	}
}

func TestSortKeyErrorLeavesDst(t *testing.T) {
	key, err := value.ParseSortKey(mustAppend(t, []any{"tuple", nil, []any{"path", "n"}}))
	if err != nil {
		t.Fatal(err)
	}
	out, err := key.Append([]byte("front"), mustAppend(t, govalue.Dict{{Key: "m", Value: 1}}), spendFreely)
	var e *value.Error
	if !errors.As(err, &e) || e.Kind != value.KeyError || e.Msg != "'n'" || !bytes.Equal(e.Key, mustAppend(t, "n")) ||
		string(out) != "front" {
		t.Errorf("%q, %v", out, err)
	}
}

// nestedKey nests a form so often.
func nestedKey(form string, times int) (key any) {
	for range times {
		key = []any{form, key}
	}
	return key
}

func TestSortKeysAreBounded(t *testing.T) {
	wide := slices.Repeat([]any{nil}, 200)
	for name, c := range map[string]struct {
		key  any
		want string
	}{
		"nested 16 deep":   {nestedKey("neg", 16), ""},
		"nested 17 deep":   {nestedKey("neg", 17), "nested deeper than 16"},
		"the same nested":  {nestedKey("lower", 17), "nested deeper than 16"},
		"126 keys":         {append([]any{"tuple"}, wide[:126]...), ""},
		"200 keys":         {append([]any{"tuple"}, wide...), "more than 128 forms and indexes"},
		"many indexes":     {append([]any{"path"}, slices.Repeat([]any{0}, 128)...), "more than 128 forms and indexes"},
		"keys in keys":     {[]any{"tuple", append([]any{"tuple"}, wide[:100]...), append([]any{"tuple"}, wide[:100]...)}, "more than 128 forms and indexes"},
		"a long index":     {[]any{"path", strings.Repeat("i", 16<<10)}, "sort key of 16393 bytes, at most 16384"},
		"a fairly long":    {[]any{"path", strings.Repeat("i", 16000)}, ""},
		"usual":            {[]any{"tuple", []any{"lower", []any{"path", "name"}}, []any{"neg", []any{"path", 1, 2}}, []any{"len", []any{"str", nil}}}, ""},
		"usual of columns": {append([]any{"tuple"}, slices.Repeat([]any{[]any{"lower", []any{"path", "a"}}}, 40)...), ""},
	} {
		b := mustAppend(t, c.key)
		if _, err := value.ParseSortKey(
			b,
		); c.want == "" && err != nil ||
			c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, err := value.ParseStoredSortKey(b); err != nil {
			t.Errorf("%s, recorded by an earlier version: %v", name, err)
		}
	}
}

// TestSortKeysAnnounceMemory checks that a key never makes more bytes than it has announced.
func TestSortKeysAnnounceMemory(t *testing.T) {
	forms := []any{
		nil,
		nestedKey("str", 1),
		nestedKey("lower", 1),
		nestedKey("neg", 1),
		nestedKey("len", 1),
		[]any{"path", 0},
		[]any{"tuple", nil, nestedKey("str", 1)},
	}
	check := func(name string, b []byte) {
		for _, form := range forms {
			key, err := value.ParseSortKey(mustAppend(t, form))
			if err != nil {
				t.Fatal(err)
			}
			announced, most := 0, 0
			out, err := key.Append(nil, b, func(_, memory int) error {
				announced += memory
				most = max(most, announced)
				return nil
			})
			if err == nil && len(out) > announced+16 { // 16: headers
				t.Errorf("%v of %s: %d bytes were made, %d announced", form, name, len(out), announced)
			}
			refused := errors.New("refused")
			if most > 0 {
				_, err = key.Append(nil, b, func(_, memory int) error {
					if memory > 0 {
						return refused
					}
					return nil
				})
				if !errors.Is(err, refused) {
					t.Errorf("%v of %s was made though it was refused: %v", form, name, err)
				}
			}
		}
	}
	goldenLines(t, "values.txt", 1, func(fields []string, b []byte) { check(fields[0], b) })
	goldenLines(t, "repr.txt", 0, func(_ []string, b []byte) { check("repr.txt", b) })
	for _, v := range []any{
		slices.Repeat([]any{false}, 1000), slices.Repeat([]any{govalue.Ext{Code: 127}}, 1000), slices.Repeat([]any{govalue.DefaultDict{}}, 1000),
		slices.Repeat([]any{govalue.DateTime{WallMicros: 1, Zone: govalue.FixedZone(-time.Microsecond)}}, 100), slices.Repeat([]any{govalue.Counter{}}, 1000),
		strings.Repeat("\u0080", 1000), strings.Repeat("Ⱥİ", 1000), strings.Repeat("\x00", 1000), bytes.Repeat([]byte{0xff}, 1000), slices.Repeat([]any{govalue.TimeDelta{Days: -999999999, Seconds: 86399, Micros: 999999}}, 100),
		slices.Repeat([]any{govalue.Singleton(0)}, 1000), slices.Repeat([]any{govalue.Slice{}}, 1000), slices.Repeat([]any{govalue.Time{Zone: govalue.FixedZone(-time.Microsecond)}}, 100),
		slices.Repeat([]any{5e-324}, 1000), slices.Repeat([]any{complex(-1.2345678901234567e-300, -1.2345678901234567e-300)}, 1000), slices.Repeat([]any{govalue.Deque{}}, 1000),
	} {
		check(fmt.Sprintf("%.30v", v), mustAppend(t, v))
	}
}

func TestAddLimits(t *testing.T) {
	largest := mustAppend(t, power(2, 8*8191))
	for range 8 {
		sum, err := value.Add(nil, largest, largest)
		var e *value.Error
		if errors.As(err, &e) && e.Kind == value.OverflowError && len(sum) == 0 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		largest = sum
	}
	t.Error("a sum of more than 8192 bytes passed")
}
