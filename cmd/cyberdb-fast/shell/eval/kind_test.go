package eval_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
	"cyberdb-fast/loop/looptest"
)

// kindRequests returns how often a server was asked for the kind of a table.
func kindRequests(t *testing.T, db *client.Client) int64 {
	t.Helper()
	text, err := db.InfoSection(t.Context(), "commands", nil)
	var section struct {
		Commands []struct {
			Name     string           `json:"name"`
			Statuses map[string]int64 `json:"statuses"`
		} `json:"commands"`
	}
	if err == nil {
		err = json.Unmarshal(text, &section)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range section.Commands {
		if c.Name == "KIND" {
			return c.Statuses["OK"]
		}
	}
	return 0
}

// TestKindOnce: a statement costs one request; the kind of its table is asked for once.
func TestKindOnce(t *testing.T) {
	db := looptest.Client(t)
	users := client.DictOf[string, int](db, "users")
	if _, err := users.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := eval.New(db)
	for range 100 {
		if _, err := printed(s, `users["n"] = 1; users.increment("n"); "n" in users`, eval.Form{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := kindRequests(t, db); n != 1 {
		t.Errorf("KIND was sent %d times", n)
	}
}

// TestKindChanges: a session sees that another client has replaced or removed a table.
func TestKindChanges(t *testing.T) {
	db := looptest.Client(t)
	ctx := t.Context()
	dict, list := client.DictOf[int, string](db, "t"), client.ListOf[string](db, "t")
	replace := map[string]func() error{
		"dict": func() error {
			_, err := dict.Ensure(ctx)
			if err == nil {
				err = dict.Set(ctx, 0, "of a dict")
			}
			return err
		},
		"list": func() error { _, err := list.Ensure(ctx, "of a list"); return err },
		"none": func() error { return nil },
	}
	s := eval.New(db)
	for _, c := range []struct{ table, statement, want string }{
		{"dict", "t[0]", "'of a dict'\n"},
		{"list", "t[0]", "'of a list'\n"},
		{"dict", "t", "{0: 'of a dict'}\n"},
		{"list", "t", "['of a list']\n"},
		{"dict", "t.pop(0)", "'of a dict'\n"},
		{"list", "len(t)", "1\n"},
		{"none", "t[0]", "NameError: no table is named 't'"},
		{"dict", "t[0]", "'of a dict'\n"},
		{"none", "x = t", "NameError: no table is named 't'"},
		{"list", "t[-1]", "'of a list'\n"},
	} {
		if exists, err := db.Exists(ctx, "t"); err != nil {
			t.Fatal(err)
		} else if exists {
			if err := db.Drop(ctx, "t"); err != nil {
				t.Fatal(err)
			}
		}
		if err := replace[c.table](); err != nil {
			t.Fatal(err)
		}
		got, err := printed(s, c.statement, eval.Form{})
		if err != nil {
			got += eval.Explain(err)
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s of a table that is now a %s: %q", c.statement, c.table, got)
		}
	}
}

// TestKindRetry: what a statement has done before an error is not done again.
func TestKindRetry(t *testing.T) {
	db := looptest.Client(t)
	queue := client.ListOf[int](db, "queue")
	if _, err := queue.Ensure(t.Context(), make([]int, 10)...); err != nil {
		t.Fatal(err)
	}
	s := eval.New(db)
	for _, statement := range []string{
		"queue.pop(), table('none')", "queue.pop(), delete_table('none')", "queue.pop(), dict('queue')",
	} {
		if _, err := printed(s, "queue[0]", eval.Form{}); err != nil { // its kind is known then
			t.Fatal(err)
		}
		if _, err := printed(s, statement, eval.Form{}); err == nil {
			t.Errorf("%s has no error", statement)
		}
	}
	if n, err := queue.Len(t.Context()); err != nil || n != 7 {
		t.Errorf("%d elements are left, not 7, %v", n, err)
	}
}
