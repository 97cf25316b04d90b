package engine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
)

func (d *door) length(table string) int64 {
	d.Helper()
	n, err := govalue.UnmarshalOf[int64](d.ok(codec.OpDictLen, table).Body)
	if err != nil {
		d.Fatal(err)
	}
	return n
}

// TestLimitEvicts fills a dict beyond its limit with every request that adds entries.
func TestLimitEvicts(t *testing.T) {
	d := newDoor(t, nil)
	content := []any{"cache", map[string]any{"max_entries": 100}}
	for i := range 300 {
		content = append(content, i, "created")
	}
	d.ok(codec.OpCreateDict, content...)
	if n := d.length("cache"); n != 100 {
		t.Errorf("%d entries after the creation", n)
	}
	large := []any{"cache"}
	for i := range 5000 {
		large = append(large, 10_000+i, i)
	}
	for _, request := range []struct {
		op   codec.Opcode
		args []any
		key  any
	}{
		{codec.OpDictSet, []any{"cache", "set", 1}, "set"},
		{codec.OpDictSetDefault, []any{"cache", "default", 1}, "default"},
		{codec.OpDictIncrement, []any{"cache", "sum", 1}, "sum"},
		{codec.OpDictUpdate, []any{"cache", "one", 1, "two", 2}, "two"},
		{codec.OpDictUpdate, large, 14_999},
	} {
		d.ok(request.op, request.args...)
		if n := d.length("cache"); n != 100 {
			t.Errorf("%d entries after %v", n, request.op)
		}
		d.ok(codec.OpDictGet, "cache", request.key)
	}
}

func TestFullDictRefuses(t *testing.T) {
	d := newDoor(t, nil)
	d.ok(codec.OpCreateDict, "d", map[string]any{"max_entries": 2, "policy": "none"}, 1, 1, 2, 2)
	for _, args := range [][]any{{"d", 3, 3}, {"d", 1, 0, 3, 3}} {
		e := d.fails(codec.StatusOverloaded, codec.OpDictUpdate, args...)
		if !strings.Contains(e.Message, `dict "d" is full: max_entries is 2, and policy "none"`) {
			t.Error(e.Message)
		}
	}
	if one := d.ok(codec.OpDictGet, "d", 1); string(one.Body) != "\x01" {
		t.Errorf("the refused update has changed a value: %x", one.Body)
	}
	d.ok(codec.OpDictSet, "d", 2, "overwritten")
	d.fails(
		codec.StatusOverloaded,
		codec.OpCreateDict,
		"e",
		map[string]any{"max_entries": 1, "policy": "ttl"},
		1,
		1,
		2,
		2,
	)
	d.fails(codec.StatusNoSuchTable, codec.OpDictLen, "e")
}

func TestInfoDicts(t *testing.T) {
	d := newDoor(t, nil)
	d.ok(codec.OpCreateDict, "plain", false, 1, 1)
	d.ok(codec.OpCreateDict, "cache", map[string]any{"max_entries": 2, "max_bytes": 1000})
	for i := range 5 {
		d.ok(codec.OpDictSet, "cache", i, "value")
	}
	d.fails(codec.StatusOverloaded, codec.OpDictSet, "cache", 1, strings.Repeat("x", 1000))
	text, err := govalue.UnmarshalOf[string](d.ok(codec.OpInfo, "dicts").Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Dicts []engine.DictFigures }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	want := engine.DictFigures{
		Name:       "cache",
		Entries:    2,
		Bytes:      2 * (7 + 24),
		MaxEntries: 2,
		MaxBytes:   1000,
		Policy:     "s3fifo",
		Evicted:    3,
		Refused:    1,
	}
	if len(answer.Dicts) != 1 || answer.Dicts[0] != want {
		t.Errorf("%s, want %+v", text, want)
	}
}
