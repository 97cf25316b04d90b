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

// classesOf says how objects of other classes are treated.
func classesOf(keepOpaque bool) legacy.Classes {
	if keepOpaque {
		return legacy.KeepOpaque
	}
	return legacy.RefuseClasses
}

// importOld converts a file of CyberDB to a new file, which is complete or does not exist
// afterwards. It returns a summary.
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
	// Every table and every entry takes one LSN, in order; the file holds those up to its own.
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

// explainImport adds what to do.
func explainImport(from string, err error) error {
	var refused *pickle.Error
	advice := ""
	switch {
	case errors.As(err, &refused) && refused.Class != "":
		advice = fmt.Sprintf(
			"; nothing was imported; with CyberDB, store objects of class %s as dicts, tuples or strings, "+
				"save, and import again; or, if you trust the file, store them as opaque bytes with --keep-opaque",
			refused.Class,
		)
	case errors.Is(err, legacy.ErrNoFile):
		advice = "; nothing was imported"
	default:
		advice = "; nothing was imported; try a backup of the file"
	}
	return fmt.Errorf("import: %s: %w%s", from, err, advice)
}

// importSummary describes what was imported.
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
		fmt.Fprintf(&s, "skipped %s bytes after the data, as CyberDB does\n", grouped(uint64(old.TrailingBytes)))
	}
	fmt.Fprintf(
		&s,
		"not imported: the settings and the password, which is stored there in clear text: choose another one, "+
			"and delete or restrict %s and its copies\n",
		from,
	)
	return s.String()
}
