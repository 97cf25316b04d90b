package engine_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// sections are those of an engine with one of a program.
func sections(env *engine.Env) {
	env.Sections = map[string]engine.Section{"list": {
		Parameters: []engine.Parameter{
			{Name: "sort", Default: "name", OneOf: []string{"name", "size"}},
			{Name: "table", Default: ""},
			{Name: "limit", Default: int64(100), Least: 1, Most: 1000},
			{Name: "after", Default: int64(-1)},
			{Name: "min_ms", Default: 0.5},
		},
		Answer: func(p engine.Parameters) ([]byte, error) {
			if p.Text("table") == "x" {
				return nil, &codec.Error{Status: codec.StatusOverloaded, Message: "not now"}
			}
			return fmt.Appendf(nil, "%s %s %d %d %g",
				p.Text("sort"), p.Text("table"), p.Int("limit"), p.Int("after"), p.Float("min_ms")), nil
		},
	}}
}

// TestInfoSections: unknown sections are refused by name, whatever they are.
func TestInfoSections(t *testing.T) {
	t.Parallel()
	d := newDoor(t, sections)
	for arg, text := range map[any]string{"stock": "'stock'", "": "''", 7: "7", "digest ": "'digest '"} {
		e := d.fails(codec.StatusValueError, codec.OpInfo, arg)
		if want := "INFO has no section " + text + ": it has 'channels', 'dicts', 'digest', 'list', 'locks', 'queues' and 'waiting'"; e.Message != want {
			t.Errorf("%s, want %s", e.Message, want)
		}
	}
	d.fails(codec.StatusValueError, codec.OpInfo, []any{})
	d.fails(codec.StatusBadArguments, codec.OpInfo, "digest", map[any]any{}, 1)
	d.ok(codec.OpInfo, "digest", map[any]any{})
	if d.outcomes[engine.Background] != 1 {
		t.Errorf("outcomes %v", d.outcomes)
	}
	if e := d.fails(codec.StatusOverloaded, codec.OpInfo, "list", map[any]any{"table": "x"}); e.Message != "not now" {
		t.Error(e.Message)
	}
}

// TestInfoParameters: a section gets what a request has and defaults for the rest. What it does not
// take is refused with the names or values that it does.
func TestInfoParameters(t *testing.T) {
	t.Parallel()
	d := newDoor(t, sections)
	type parameters = map[any]any
	for _, c := range []struct {
		parameters any
		want       string
	}{
		{parameters{}, "name  100 -1 0.5"},
		{parameters{"limit": nil, "after": 0}, "name  100 0 0.5"},
		{parameters{"sort": "size", "table": "t", "limit": 1000, "after": 1 << 40, "min_ms": 3}, "size t 1000 1099511627776 3"},
		{parameters{"min_ms": 2.25}, "name  100 -1 2.25"},
	} {
		if reply := d.ok(codec.OpInfo, "list", c.parameters); string(reply.Body[1:]) != c.want {
			t.Errorf("%v: %q, want %q", c.parameters, reply.Body[1:], c.want)
		}
	}
	for _, c := range []struct {
		section    string
		parameters any
		status     codec.Status
		want       string
	}{
		{"list", 5, codec.StatusTypeError, "the parameters of INFO are a dict, not int"},
		{
			"list",
			parameters{"size": 1},
			codec.StatusValueError,
			"INFO 'list' has no parameter 'size': it takes 'sort', 'table', 'limit', 'after' and 'min_ms'",
		},
		{
			"list",
			parameters{7: 1},
			codec.StatusValueError,
			"INFO 'list' has no parameter 7: it takes 'sort', 'table', 'limit', 'after' and 'min_ms'",
		},
		{"digest", parameters{"limit": 1}, codec.StatusValueError, "INFO 'digest' has no parameter 'limit': it takes no parameters"},
		{"list", parameters{"sort": "age"}, codec.StatusValueError, "sort is one of 'name' and 'size', not 'age'"},
		{"list", parameters{"table": 1}, codec.StatusTypeError, "table is a str, not int"},
		{"list", parameters{"limit": 0}, codec.StatusValueError, "limit is 1 to 1000, not 0"},
		{"list", parameters{"limit": 1001}, codec.StatusValueError, "limit is 1 to 1000, not 1001"},
		{"list", parameters{"limit": "all"}, codec.StatusTypeError, "limit is an int, not str"},
		{"list", parameters{"limit": 1.0}, codec.StatusTypeError, "limit is an int, not float"},
		{
			"list",
			parameters{"after": new(big.Int).Lsh(big.NewInt(1), 70)},
			codec.StatusValueError,
			"after is 0 to 281474976710656, not 1180591620717411303424",
		},
		{"list", parameters{"min_ms": math.NaN()}, codec.StatusValueError, "min_ms is 0 to 281474976710656, not nan"},
		{"list", parameters{"min_ms": -1}, codec.StatusValueError, "min_ms is 0 to 281474976710656, not -1"},
		{"list", parameters{"min_ms": []any{}}, codec.StatusTypeError, "min_ms is a number, not list"},
	} {
		if e := d.fails(c.status, codec.OpInfo, c.section, c.parameters); e.Message != c.want {
			t.Errorf("%q, want %q", e.Message, c.want)
		}
	}
}
