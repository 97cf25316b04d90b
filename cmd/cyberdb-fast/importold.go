package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/loop"
	"cyberdb-fast/persist"
)

// classesOf says what becomes of objects of other classes.
func classesOf(keepOpaque bool) legacy.Classes {
	if keepOpaque {
		return legacy.KeepOpaque
	}
	return legacy.RefuseClasses
}

// importOld reads a file that CyberDB wrote and writes a new one, whole or not at all. It returns
// the lines that tell what was done.
func importOld(from, to string, classes legacy.Classes, progress progressFunc) (summary string, err error) {
	f, size, err := openFile(from)
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	old, err := legacy.ParseFile(b, classes)
	if err != nil {
		return "", explainImport(from, err)
	}
	items := loop.OldItems(old)
	// Every table and every entry draws a number of the clock, in order; the file holds those below
	// its own.
	stamp := persist.Stamp{Database: persist.NewID(), LSN: items + uint64(len(old.Tables)) + 1, Created: time.Now()}
	step := func() {}
	if progress != nil {
		done := int64(0)
		step = func() {
			done++
			progress(from, done, int64(items))
		}
	}
	info, err := persist.WriteFile(
		persist.OS,
		to,
		stamp,
		persist.S2,
		func(w *persist.Writer) error { return loop.WriteOld(w, old, step) },
	)
	if err != nil {
		return "", explainImport(from, err)
	}
	return importSummary(from, to, len(b), old, info), nil
}

// explainImport says what to do.
func explainImport(from string, err error) error {
	var refused *pickle.Error
	advice := ""
	switch {
	case errors.As(err, &refused) && refused.Class != "":
		advice = fmt.Sprintf(
			": nothing was taken; with CyberDB, store such objects as dicts, tuples or texts (%s is not one), save, and import again; or keep them unopened with --keep-opaque, if you trust the file",
			refused.Class,
		)
	case errors.Is(err, legacy.ErrNoFile):
		advice = ": nothing was taken"
	default:
		advice = ": nothing was taken; try a backup of it"
	}
	return fmt.Errorf("import: %s: %w%s", from, err, advice)
}

// importSummary tells what was done.
func importSummary(from, to string, fromBytes int, old *legacy.File, info persist.FileInfo) string {
	var s strings.Builder
	for _, t := range old.Tables {
		kind := "dict"
		if t.Kind == legacy.List {
			kind = "list"
		}
		fmt.Fprintf(&s, "  %s %q  %s entries\n", kind, t.Name, grouped(uint64(t.Len())))
	}
	fmt.Fprintf(&s, "%s (%s bytes) -> %s (%s bytes): %d tables, %s entries\n",
		from, grouped(uint64(fromBytes)), to, grouped(uint64(info.Bytes)), info.Tables, grouped(info.Items))
	if old.TrailingBytes > 0 {
		fmt.Fprintf(&s, "%s bytes behind the data were passed over, as CyberDB does\n", grouped(uint64(old.TrailingBytes)))
	}
	fmt.Fprintf(
		&s,
		"not taken: the settings in it, and its password, which stands there in clear: choose another one, and delete or restrict %s and its copies\n",
		from,
	)
	return s.String()
}
