package legacy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/cdb", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reprOf is Python's repr of the tables in a file, as a dict.
func reprOf(t *testing.T, f *legacy.File) string {
	t.Helper()
	var all []string
	for _, table := range f.Tables {
		var entries []byte
		for i := range table.Len() {
			var err error
			if _, _, entries, err = table.Entry(entries, i); err != nil {
				t.Fatal(err)
			}
		}
		form := "list"
		if table.Kind == legacy.Dict {
			form = "dict"
		}
		name, err := value.Repr(value.AppendStr(nil, table.Name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name+": "+reprOfEntries(t, form, entries))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

func reprOfEntries(t *testing.T, form string, entries []byte) string {
	t.Helper()
	var texts []string
	for len(entries) > 0 {
		n := value.Size(entries)
		text, err := value.Repr(entries[:n])
		if err != nil {
			t.Fatal(err)
		}
		texts, entries = append(texts, text), entries[n:]
	}
	if form == "list" {
		return "[" + strings.Join(texts, ", ") + "]"
	}
	var items []string
	for i := 0; i < len(texts); i += 2 {
		items = append(items, texts[i]+": "+texts[i+1])
	}
	return "{" + strings.Join(items, ", ") + "}"
}

// TestGoodFiles: each file that CyberDB wrote is read as what it held.
func TestGoodFiles(t *testing.T) {
	for _, name := range []string{"tutorial", "never_started", "all_basic_types", "extended_types"} {
		var expect struct{ Repr string }
		if err := json.Unmarshal(readFile(t, name+".json"), &expect); err != nil {
			t.Fatal(err)
		}
		f, err := legacy.ParseFile(readFile(t, name+".cdb"), legacy.RefuseClasses)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := reprOf(t, f); expect.Repr == "" || got != expect.Repr {
			t.Errorf("%s: %.2000s\nwant %.2000s", name, got, expect.Repr)
		}
	}
}

// TestProtocols: one content is the same in all protocols, and whichever Python wrote it.
func TestProtocols(t *testing.T) {
	for _, pattern := range []string{"protocol?.cdb", "versions/*.cdb"} {
		names, err := filepath.Glob(filepath.Join("testdata/cdb", pattern))
		if err != nil || len(names) < 6 {
			t.Fatal(names, err)
		}
		first := ""
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f, err := legacy.ParseFile(b, legacy.RefuseClasses)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			got := reprOf(t, f)
			if first == "" {
				first = got
			}
			if got != first && !strings.Contains(name, "3.7") { // which has no fold
				t.Errorf("%s: %.1000s\nwant %.1000s", name, got, first)
			}
		}
	}
}

// TestLargeFile: 20,000 entries with many shared texts.
func TestLargeFile(t *testing.T) {
	f, err := legacy.ParseFile(readFile(t, "large_20000.cdb"), legacy.RefuseClasses)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Tables) != 2 || f.Tables[0].Name != "users" || f.Tables[0].Len() != 20000 {
		t.Fatalf("%+v", f.Tables)
	}
	for _, i := range []int{0, 1, 12345, 19999} {
		_, _, entry, err := f.Tables[0].Entry(nil, i)
		if err != nil {
			t.Fatal(err)
		}
		yes := map[bool]string{true: "True", false: "False"}[i%2 == 0]
		score, _ := value.Repr(mustMarshal(t, float64(i*i%1000)/8))
		want := fmt.Sprintf(
			"{'user:%05d': {'id': %d, 'name': 'user%05d', 'score': %s, 'tags': ['t%d', '标%d'], 'ok': %s}}",
			i,
			i,
			i,
			score,
			i%7,
			i%3,
			yes,
		)
		if got := reprOfEntries(t, "dict", entry); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func mustMarshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := govalue.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// loadable are the hostile and damaged files that hold something good: the expectations allow it.
var loadable = map[string]bool{
	"dup_keys.cdb":         true,
	"flip_in_text.cdb":     true,
	"trailing_garbage.cdb": true,
	"two_pickles.cdb":      true,
	"shape_extra_key.cdb":  true,
}

// nowhere are the hostile files whose fault is in no entry: they are no pickle of tables, or break
// off before them.
var nowhere = map[string]bool{
	"inst.cdb":                   true,
	"obj.cdb":                    true,
	"global_as_key.cdb":          true,
	"stack_setitems_odd.cdb":     true,
	"stack_additems_on_dict.cdb": true,
	"stack_mark_left.cdb":        true,
}

// TestBadFiles: hostile and damaged files are refused, each within 100 ms and 64 MiB, and the error
// says where and why.
func TestBadFiles(t *testing.T) {
	for _, dir := range []string{"hostile", "damaged"} {
		var expect struct {
			Files []struct{ File, Must, Why string }
		}
		if err := json.Unmarshal(readFile(t, dir+"/expect.json"), &expect); err != nil {
			t.Fatal(err)
		}
		if len(expect.Files) < 26 {
			t.Errorf("%d files", len(expect.Files))
		}
		for _, c := range expect.Files {
			b := readFile(t, dir+"/"+c.File)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begun := time.Now()
			f, err := legacy.ParseFile(b, legacy.RefuseClasses)
			took := time.Since(begun)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; took > 100*time.Millisecond && !raceEnabled ||
				used > 64<<20 {
				t.Errorf("%s took %v and %d bytes", c.File, took, used)
			}
			switch {
			case loadable[c.File]:
				if err != nil || strings.HasPrefix(c.Must, "refuse") {
					t.Errorf("%s, which must %s: %v", c.File, c.Must, err)
				} else if c.File == "dup_keys.cdb" && reprOf(t, f) != "{'t': {'a': 2}}" {
					t.Errorf("%s: %s", c.File, reprOf(t, f))
				}
			case err == nil || !strings.Contains(c.Must, "refuse"):
				t.Errorf("%s, which must %s (%s): %v", c.File, c.Must, c.Why, err)
			default:
				t.Logf("%s: %v", c.File, err)
				var at *legacy.FileError
				if placed := errors.As(err, &at) && at.Table != "" &&
					at.Key != ""; dir == "hostile" && !errors.Is(err, legacy.ErrNoFile) &&
					placed == nowhere[c.File] {
					t.Errorf("%s: the error names table and entry: %v", c.File, placed)
				}
			}
		}
	}
}

// TestRefusedByName: the error names class, table and key.
func TestRefusedByName(t *testing.T) {
	for name, want := range map[string]struct{ class, table, key string }{
		"custom_class.cdb":          {"customthings.Point", "custom", "point"},
		"odd_globals.cdb":           {"builtins.int", "odd", "5"},
		"hostile/reduce_hidden.cdb": {"posix.system", "evil", "deep"},
		"hostile/eval.cdb":          {"builtins.eval", "t", "k"},
		"hostile/newobj_class.cdb":  {"builtins.object", "t", "k"},
	} {
		_, err := legacy.ParseFile(readFile(t, name), legacy.RefuseClasses)
		var at *legacy.FileError
		var refused *pickle.Error
		if !errors.As(err, &at) || !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if refused.Class != want.class || at.Table != want.table || at.Key != want.key {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamageIsPlaced: a file that is cut says in which table and entry.
func TestDamageIsPlaced(t *testing.T) {
	_, err := legacy.ParseFile(readFile(t, "tutorial.cdb")[:160], legacy.RefuseClasses)
	if err == nil || !strings.Contains(err.Error(), `table "centre", entry content: the file ends too early`) {
		t.Error(err)
	}
	whole := readFile(t, "all_basic_types.cdb")
	placed := 0
	for n := 1000; n < len(whole); n += 997 {
		_, err := legacy.ParseFile(whole[:n], legacy.RefuseClasses)
		var at *legacy.FileError
		if !errors.As(err, &at) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		if at.Table != "" {
			placed++
		}
	}
	if placed < 30 {
		t.Errorf("%d of the cuts are placed", placed)
	}
}

// TestBitFlips: each of the 1,392 files that differ from a good one in one bit is read as Python
// reads it, or refused.
func TestBitFlips(t *testing.T) {
	good := readFile(t, "tutorial.cdb")
	loads := 0
	for bit := range 8 * len(good) {
		b := append([]byte(nil), good...)
		b[bit/8] ^= 1 << (bit % 8)
		if f, err := legacy.ParseFile(b, legacy.RefuseClasses); err == nil {
			loads++
			reprOf(t, f)
		}
	}
	// Python reads 725 of them, classes of a protocol or shape that is none included
	if loads < 300 || loads > 730 {
		t.Errorf("%d of the flipped files are read", loads)
	}
}

// FuzzFile: no bytes make it panic, and what is read can be kept.
func FuzzFile(f *testing.F) {
	for _, name := range []string{"tutorial.cdb", "protocol0.cdb", "extended_types.cdb", "custom_class.cdb", "hostile/dup_keys.cdb", "hostile/self_dict.cdb"} {
		f.Add(readFile(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := legacy.ParseFile(b, legacy.RefuseClasses)
		if err != nil {
			return
		}
		for _, table := range file.Tables {
			for i := range table.Len() {
				_, _, entry, err := table.Entry(nil, i)
				if err != nil {
					continue
				}
				for len(entry) > 0 {
					n, err := value.Check(entry)
					if err != nil {
						t.Fatalf("%x: %v", entry, err)
					}
					entry = entry[n:]
				}
			}
		}
	})
}
