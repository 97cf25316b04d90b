package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/persist"
)

// importCommand is the first argument of the command that takes over an old file.
const importCommand = "import"

const importUsage = "usage: cyberdb-fast import OLD.cdb -o NEW.cdb [--keep-opaque]"

// runImport makes a .cdb file of one that CyberDB wrote; it returns the exit code. The old file is only read.
func runImport(args []string, stdout, stderr *os.File) int {
	flags := pflag.NewFlagSet(importCommand, pflag.ContinueOnError)
	flags.Usage = func() {}
	out := flags.StringP("output", "o", "", "the file to make")
	opaque := flags.Bool("keep-opaque", false, "keep objects of other classes unopened")
	help := flags.BoolP("help", "h", false, "print this")
	err := flags.Parse(args)
	switch {
	case err != nil:
		return usageError(stderr, fmt.Errorf("import: %w; %s", err, importUsage))
	case *help:
		fmt.Fprintf(stdout, "%s\n\nMakes a file of this server's of one that CyberDB 0.9.3 wrote, which stays as it is. Nothing in it is executed, and the\n"+
			"password in it is not taken. To serve it, name it data.cdb and start with --dir and its directory.\n\n"+
			"--keep-opaque keeps objects of your own classes unopened; a Python client gets them back as they were, and with them the code\n"+
			"that they name: use it for files that you trust alone.\n", importUsage)
		return exitOK
	case flags.NArg() != 1 || *out == "":
		return usageError(stderr, errors.New(importUsage))
	}
	classes := classesOf(*opaque)
	bar := progress{to: stderr, shown: term.IsTerminal(int(stderr.Fd())), file: flags.Arg(0)}
	summary, err := importFile(flags.Arg(0), *out, classes, &bar)
	bar.end()
	if err != nil {
		return usageError(stderr, err)
	}
	_, _ = io.WriteString(stdout, summary)
	return exitOK
}

// classesOf says what becomes of objects of other classes.
func classesOf(keepOpaque bool) legacy.Classes {
	if keepOpaque {
		return legacy.KeepOpaque
	}
	return legacy.RefuseClasses
}

// importFile reads an old file and writes a new one, whole or not at all. It returns the lines that tell what was done.
func importFile(from, to string, classes legacy.Classes, bar *progress) (summary string, err error) {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("import: %s is there already: nothing is overwritten; choose another name with -o, or move it away", to)
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	old, err := legacy.ParseFile(b, classes)
	if err != nil {
		return "", explainImport(from, err)
	}
	items := 0
	for _, t := range old.Tables {
		if n := len(t.Name); n < 1 || n > codec.MaxTableNameBytes {
			return "", fmt.Errorf("import: %s: a table's name has %d bytes; 1 to %d may be: rename it with CyberDB first", from, n, codec.MaxTableNameBytes)
		}
		items += t.Len()
	}
	// Every table and every entry draws a number of the clock, in order; the file holds those below its own.
	stamp := persist.Stamp{Database: persist.NewID(), LSN: uint64(items+len(old.Tables)) + 1, Created: time.Now()}
	bar.total = items
	info, err := persist.WriteFile(persist.OS, to, stamp, persist.S2, func(w *persist.Writer) error { return writeOld(w, old, bar) })
	if err != nil {
		return "", explainImport(from, err)
	}
	return importSummary(from, to, len(b), old, info), nil
}

// writeOld writes the tables of an old file.
func writeOld(w *persist.Writer, old *legacy.File, bar *progress) error {
	lsn := uint64(0)
	var room []byte
	for _, t := range old.Tables {
		lsn++
		table := persist.Table{Name: t.Name, Kind: persist.Dict, Born: lsn}
		if t.Kind == legacy.List {
			table.Kind, table.Version = persist.List, lsn+uint64(t.Len())
		}
		if err := w.Table(table); err != nil {
			return err
		}
		for i := range t.Len() {
			lsn++
			key, val, all, err := t.Entry(room[:0], i)
			if err != nil {
				return &legacy.FileError{Table: t.Name, Key: fmt.Sprintf("number %d", i), Err: err}
			}
			room = all
			if t.Kind == legacy.List {
				err = w.Element(val)
			} else {
				err = w.Entry(persist.Entry{Key: key, Val: val, Version: lsn, Place: lsn})
			}
			if err != nil {
				return err
			}
			bar.step()
		}
	}
	return nil
}

// explainImport says what to do.
func explainImport(from string, err error) error {
	var refused *pickle.Error
	advice := ""
	switch {
	case errors.As(err, &refused) && refused.Class != "":
		advice = fmt.Sprintf(": nothing was taken; with CyberDB, store such objects as dicts, tuples or texts (%s is not one), save, and import again; or keep them unopened with --keep-opaque, if you trust the file", refused.Class)
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
	if old.Behind > 0 {
		fmt.Fprintf(&s, "%s bytes behind the data were passed over, as CyberDB does\n", grouped(uint64(old.Behind)))
	}
	fmt.Fprintf(&s, "not taken: the settings in it, and its password, which stands there in clear: choose another one, and delete or restrict %s and its copies\n", from)
	return s.String()
}

// progress is a line on a terminal that says how far an import is.
type progress struct {
	to          io.Writer
	shown       bool
	file        string
	done, total int
	percent     int
}

const progressWidth = 30

func (p *progress) step() {
	p.done++
	if percent := 100 * p.done / max(p.total, 1); p.shown && percent != p.percent {
		p.percent = percent
		filled := progressWidth * percent / 100
		fmt.Fprintf(p.to, "\r%s [%s%s] %3d%%", p.file, strings.Repeat("#", filled), strings.Repeat(".", progressWidth-filled), percent)
	}
}

func (p *progress) end() {
	if p.percent > 0 {
		fmt.Fprintln(p.to)
	}
}
