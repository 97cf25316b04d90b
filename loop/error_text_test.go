package loop

import (
	"strings"
	"testing"

	"cyberdb-fast/codec"
)

// TestErrorsName checks that an error text names what it is about.
func TestErrorsName(t *testing.T) {
	t.Parallel()
	w := dial(t, startServer(t, nil))
	w.call(codec.OpCreateDict, "users", false)
	w.call(codec.OpCreateDict, "visits", false)
	for _, test := range []struct {
		op     codec.Opcode
		args   []any
		status codec.Status
		text   string
	}{
		{codec.OpCreateDict, []any{"users", false}, codec.StatusTableExists, `a table named "users" exists already`},
		{codec.OpRename, []any{"users", "visits"}, codec.StatusTableExists, `a table named "visits" exists already`},
		{codec.OpCreateList, []any{"users", true}, codec.StatusWrongTableKind, `table "users" is a dict`},
		{codec.OpCreateDict, []any{"", false}, codec.StatusValueError, "1 to 1024 bytes, this one has 0"},
		{codec.OpCreateDict, []any{strings.Repeat("n", 1025), false}, codec.StatusValueError, "1 to 1024 bytes, this one has 1025"},
		{codec.OpCreateDict, []any{strings.Repeat("é", 513), false}, codec.StatusValueError, "1 to 1024 bytes, this one has 1026"},
		{codec.OpDictGet, []any{"missing", 1}, codec.StatusNoSuchTable, `no table is named "missing"`},
	} {
		if e := w.fails(test.status, test.op, test.args...); !strings.Contains(e.Message, test.text) {
			t.Errorf("%v %.40v: got %q, want %q", test.op, test.args, e.Message, test.text)
		}
	}
}
