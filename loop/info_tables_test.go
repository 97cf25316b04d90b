package loop

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/stats"
)

// tablesOf asks the server for INFO "tables".
func tablesOf(w *wire, parameters map[any]any) (told Tables) {
	w.Helper()
	text := w.ok(codec.OpInfo, "tables", parameters)[0].(string)
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		w.Fatalf("%v: %s", err, text)
	}
	return told
}

// forgetTables makes the server walk over its tables again.
func forgetTables(srv *Server) {
	statsNow(srv)
	srv.tableWalks.mu.Lock()
	defer srv.tableWalks.mu.Unlock()
	srv.tableWalks.walks = nil
}

// TestTableFigures: tables are listed in the order that is asked for, the sums of the others are
// right, and so is what is counted of each.
func TestTableFigures(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	for i, name := range []string{"c", "a", "b"} { // c is the smallest, and has one entry
		args := []any{name, false}
		for k := range 1 + 2*i {
			args = append(args, k, "value")
		}
		w.ok(codec.OpCreateDict, args...)
	}
	w.ok(codec.OpCreateList, "l", false, "one", "two", "three", "four")
	for range 3 {
		w.ok(codec.OpDictGet, "c", 0)
	}
	w.ok(codec.OpDictGet, "c", 99, nil)
	w.fails(codec.StatusKeyError, codec.OpDictGet, "c", 99)
	w.ok(codec.OpDictGetMany, "a", 0, 1, 97, 98, 99)
	w.ok(codec.OpDictContains, "b", 0)
	w.ok(codec.OpDictContains, "b", 99)
	w.ok(codec.OpDictSetDefault, "b", 50, 1)
	w.ok(codec.OpDictSetDefault, "b", 50, 1)
	w.ok(codec.OpDictPop, "b", 50)
	w.ok(codec.OpDictPop, "b", 50, nil)
	w.ok(codec.OpListGet, "l", 0)
	forgetTables(srv)

	for order, want := range map[string]string{
		"bytes": "[b a c l]", "entries": "[b l a c]", "name": "[a b c l]", "traffic": "[b c a l]",
	} {
		told := tablesOf(w, map[any]any{"sort": order})
		names := []string{}
		for _, f := range told.Tables {
			names = append(names, f.Name)
		}
		if fmt.Sprint(names) != want || told.Count != 4 || told.Other != (TableSums{}) {
			t.Errorf("by %s: %v, %d tables, others %+v; want %s", order, names, told.Count, told.Other, want)
		}
	}
	all := tablesOf(w, map[any]any{"sort": "name"}).Tables
	for i, want := range []stats.TableCounts{
		{Requests: 1, Hits: 2, Misses: 3},
		{Requests: 6, Hits: 3, Misses: 3},
		{Requests: 5, Hits: 3, Misses: 2},
		{Requests: 1},
	} {
		if all[i].TableCounts != want {
			t.Errorf("%s: %+v, want %+v", all[i].Name, all[i].TableCounts, want)
		}
	}
	if l := all[3]; l.Kind != "list" || l.Entries != 4 || l.Bytes != 4+4+6+5 {
		t.Errorf("%+v", l)
	}
	if some := tablesOf(w, map[any]any{"limit": 1, "sort": "name"}); len(some.Tables) != 1 || some.Count != 4 ||
		some.Other.Requests != 12 || some.Other.Entries != all[1].Entries+all[2].Entries+4 ||
		some.Other.Bytes != all[1].Bytes+all[2].Bytes+all[3].Bytes {
		t.Errorf("%+v", some)
	}
	w.ok(codec.OpDrop, "c")
	forgetTables(srv)
	gone := all[2].TableCounts
	gone.Requests++ // DROP
	if left := tablesOf(w, map[any]any{}); left.Count != 3 || left.Other != (TableSums{TableCounts: gone}) {
		t.Errorf("after c was dropped: %d tables, others %+v", left.Count, left.Other)
	}
	for _, wrong := range []map[any]any{{"sort": "age"}, {"limit": 0}, {"limit": 1001}, {"first": 1}} {
		w.fails(codec.StatusValueError, codec.OpInfo, "tables", wrong)
	}
}

// TestManyTables: there are more tables than are listed one by one, and more than have counts of
// their own. The first are the right ones, and nothing is lost in the sums.
func TestManyTables(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	const tables = 3*maxTableFigures + 7
	var frames []byte
	names := []string{}
	for i := range tables {
		name := fmt.Sprintf("%05d", i*7919%tables)
		names = append(names, name)
		frames = append(frames, w.request(codec.OpCreateDict, name, false, 1, name)...)
		frames = append(frames, w.request(codec.OpDictGet, name, 1)...)
	}
	w.write(frames)
	for range 2 * tables {
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
			t.Fatal(reply.Status, err)
		}
	}
	slices.Sort(names)
	forgetTables(srv)
	told := tablesOf(w, map[any]any{"sort": "name", "limit": maxTableFigures})
	sums := told.Other
	for i := range told.Tables {
		if told.Tables[i].Name != names[i] {
			t.Fatalf("table %d is %s, not %s", i, told.Tables[i].Name, names[i])
		}
		sums.add(&told.Tables[i].TableSums)
	}
	if len(told.Tables) != maxTableFigures || told.Count != tables || sums.Entries != tables {
		t.Errorf("%d of %d tables, %d entries", len(told.Tables), told.Count, sums.Entries)
	}
	if sums.Requests != tables || sums.Hits != tables || sums.Misses != 0 {
		t.Errorf("all together %+v", sums.TableCounts)
	}
}
