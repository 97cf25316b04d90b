package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExportQueue: an export of a list has the items that it holds, deliveries and options, as
// FORMAT.md shows; an import of it exports the same.
func TestExportQueue(t *testing.T) {
	got := exported(t, "../../persist/testdata/v3-queue.cdb")
	format, err := os.ReadFile("../../persist/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	example := "    " + strings.ReplaceAll(strings.TrimSpace(got), "\n", "\n    ")
	if !strings.Contains(string(format), example) {
		t.Errorf("FORMAT.md does not show this export:\n%s", example)
	}
	dir := t.TempDir()
	lines, back := filepath.Join(dir, "a.jsonl"), filepath.Join(dir, "b.cdb")
	if err := os.WriteFile(lines, []byte(got), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "import", lines, "-o", back)
	if again := exported(t, back); again != got {
		t.Errorf("imported:\n%s\nnot\n%s", again, got)
	}
	told := `list "jobs" with 3 items, 2 held, after 5 deliveries to "dead"`
	if text := command(t, "check", back); !strings.Contains(text, told) {
		t.Errorf("check says %q", text)
	}
}

// TestImportQueueRefuses: held items that no list can have are refused, with their line.
func TestImportQueueRefuses(t *testing.T) {
	for item, want := range map[string]string{
		`{"value":1,"due":-1,"deliveries":1}`:                     `line 3: table "q": "due" must be a time`,
		`{"value":1,"due":"soon","deliveries":1}`:                 `line 3: table "q": "due" must be a time`,
		`{"value":1,"due":1}`:                                     `line 3: table "q": a held item is "delayed", or has "deliveries"`,
		`{"value":1,"deliveries":-1}`:                             `line 3: table "q": "deliveries" must be a number`,
		"{\"value\":1}\n{\"value\":2,\"due\":1,\"delayed\":true}": `line 4: table "q": a held item after elements`,
	} {
		dir := t.TempDir()
		lines := filepath.Join(dir, "a.jsonl")
		n := strings.Count(item, "value")
		text := strings.ReplaceAll(`{"cyberdb-fast":"jsonl","version":3,"tables":1,"items":N}
{"table":"q","kind":"list","items":N}
`, "N", string(rune('0'+n))) + item + "\n"
		if err := os.WriteFile(lines, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := command(t, "import", lines, "-o", filepath.Join(dir, "b.cdb")); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", item, got, want)
		}
	}
}
