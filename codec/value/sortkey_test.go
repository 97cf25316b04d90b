package value_test

import (
	"bytes"
	"errors"
	"testing"

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
		{[]any{"path", 0, value.Slice{Start: 1}}, "in path[2]: a slice"},
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
	out, err := key.Append([]byte("front"), mustAppend(t, value.Dict{{Key: "m", Value: 1}}))
	var e *value.Error
	if !errors.As(err, &e) || e.Kind != value.KeyError || e.Msg != "'n'" || !bytes.Equal(e.Key, mustAppend(t, "n")) || string(out) != "front" {
		t.Errorf("%q, %v", out, err)
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
