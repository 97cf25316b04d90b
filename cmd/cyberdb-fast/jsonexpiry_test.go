package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/persist"
)

// writeTable writes a file that holds one dict.
func writeTable(t *testing.T, name string, created time.Time, table persist.Table, entries []persist.Entry) {
	t.Helper()
	stamp := persist.Stamp{Database: persist.NewID(), LSN: 1000, Created: created}
	if _, err := persist.WriteFile(persist.OS, name, stamp, persist.S2, func(w *persist.Writer) error {
		if err := w.Table(table); err != nil {
			return err
		}
		for _, e := range entries {
			if err := w.Entry(e); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func exported(t *testing.T, name string) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := exportTo(name, &b, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestExportExpiry: an export has the deadlines of all entries, those by the table's default
// included, and leaves out what has expired by now. An import of it exports the same.
func TestExportExpiry(t *testing.T) {
	dir := t.TempDir()
	const saved = 7_000_000_000_000 // later than now: the time of the store does not go back
	entry := func(key byte, version uint64, deadline int64) persist.Entry {
		return persist.Entry{
			Key:      []byte{key},
			Val:      []byte{0xc0},
			Place:    uint64(key),
			Version:  version,
			Deadline: deadline,
		}
	}
	from := filepath.Join(dir, "from.cdb")
	writeTable(t, from, time.UnixMilli(saved), persist.Table{
		Name: "d", Kind: persist.Dict, Created: 1,
		Options: persist.TableOptions{TTL: 60_000, MaxEntries: 7, Policy: 3, Horizon: 4},
		Marks:   []persist.Mark{{Time: saved - 61_000, LSN: 8}, {Time: saved - 50_000, LSN: 9}},
	}, []persist.Entry{
		entry(2, 3, 0),                // below the horizon
		entry(3, 3, persist.Forever),  // never
		entry(4, 8, 0),                // by the default
		entry(5, 9, 0),                // not yet by the default
		entry(6, 10, 0),               // written after the last mark
		entry(7, 10, saved-1),         // just now
		entry(8, 9, saved),            // the last millisecond
		entry(9, 9, 1_700_000_000_00), // long ago
	})
	want := `{"cyberdb-fast":"jsonl","version":2,"tables":1,"items":4}
{"table":"d","kind":"dict","items":4,"options":{"ttl":60000,"max_entries":7,"policy":"ttl"}}
{"key":3,"value":null,"expires":"forever"}
{"key":5,"value":null,"expires":7000000010000}
{"key":6,"value":null,"expires":7000000060000}
{"key":8,"value":null,"expires":7000000000000}
`
	if got := exported(t, from); got != want {
		t.Fatalf("%s\ninstead of\n%s", got, want)
	}
	if got := command(
		t,
		"check",
		from,
	); !strings.Contains(
		got,
		`dict "d" with 8 items, ttl 1m0s, max_entries 7, policy ttl`+"\n",
	) {
		t.Errorf("check: %s", got)
	}
	lines, again := filepath.Join(dir, "lines"), filepath.Join(dir, "again.cdb")
	if shown, err := exportFile(from, lines, nil); err != nil || shown.all != 4 || len(shown.items) != 1 {
		t.Fatal(shown, err)
	}
	if _, err := importFile(lines, again, legacy.RefuseClasses, nil); err != nil {
		t.Fatal(err)
	}
	if got := exported(t, again); got != want {
		t.Fatalf("%s\ninstead of\n%s", got, want)
	}

	const past = `{"cyberdb-fast":"jsonl","version":2,"tables":1,"items":1}
{"table":"d","kind":"dict","items":1}
{"key":1,"value":2,"expires":5}
`
	if err := os.WriteFile(lines, []byte(past), 0o600); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "old.cdb")
	if _, err := importFile(lines, old, legacy.RefuseClasses, nil); err != nil {
		t.Fatal(err)
	}
	none := `{"cyberdb-fast":"jsonl","version":1,"tables":1,"items":0}
{"table":"d","kind":"dict","items":0}
`
	if got := exported(t, old); got != none {
		t.Fatalf("%s\ninstead of\n%s", got, none)
	}
}

// TestImportExpiryErrors: bad deadlines and options are refused, with the line and the field.
func TestImportExpiryErrors(t *testing.T) {
	const (
		time   = `line 3: table "t": "expires" must be a time, 1 to 281474976710655 milliseconds since 1970, or "forever"`
		number = ` must be a number, 1 to `
	)
	for _, c := range []struct{ kind, table, item, want string }{
		{"dict", ``, `"expires":0`, time},
		{"dict", ``, `"expires":-1`, time},
		{"dict", ``, `"expires":1.5`, time},
		{"dict", ``, `"expires":null`, time},
		{"dict", ``, `"expires":"never"`, time},
		{"dict", ``, `"expires":true`, time},
		{"dict", ``, `"expires":281474976710656`, time},
		{"dict", ``, `"expires":99999999999999999999`, time},
		{"list", ``, `"expires":5`, `line 3: table "t" is a list, so its elements do not expire`},
		{"dict", `"options":5`, ``, `line 2: table "t": "options" must be an object`},
		{"dict", `"options":{"ttl":0}`, ``, `line 2: table "t": the option "ttl"` + number + `3155760000000`},
		{"dict", `"options":{"ttl":3155760000001}`, ``, `line 2: table "t": the option "ttl"` + number + `3155760000000`},
		{"dict", `"options":{"idle":"x"}`, ``, `line 2: table "t": the option "idle"` + number + `3155760000000`},
		{"dict", `"options":{"max_entries":-1}`, ``, `line 2: table "t": the option "max_entries"` + number + `281474976710656`},
		{"dict", `"options":{"max_bytes":null}`, ``, `line 2: table "t": the option "max_bytes"` + number + `281474976710656`},
		{"dict", `"options":{"policy":"lru"}`, ``, `line 2: table "t": the option "policy" must be "none", "s3fifo" or "ttl"`},
		{"dict", `"options":{"size":1}`, ``, `line 2: table "t": there is no option "size": a dict has ttl, idle, max_entries, max_bytes and policy`},
		{"list", `"options":{"ttl":1}`, ``, `line 2: table "t": there is no option "ttl": a list has max_deliveries and dead_letter`},
	} {
		field := func(s string) string {
			if s == "" {
				return ""
			}
			return "," + s
		}
		text := `{"cyberdb-fast":"jsonl","version":2,"tables":1,"items":1}` + "\n" +
			`{"table":"t","kind":"` + c.kind + `","items":1` + field(c.table) + "}\n" +
			`{"key":1,"value":1` + field(c.item) + "}\n"
		dir := t.TempDir()
		from, to := filepath.Join(dir, "lines"), filepath.Join(dir, "to.cdb")
		if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := importFile(from, to, legacy.RefuseClasses, nil)
		if want := "import: " + from + ": " + c.want + "; nothing was imported"; err == nil || err.Error() != want {
			t.Errorf("%v\ninstead of\n%s", err, want)
		}
		if _, err := os.Stat(to); err == nil {
			t.Error("a file was made")
		}
	}
}
