package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/jsonvalue"
	"cyberdb-fast/persist"
)

// newExportCommand returns the command that writes the tables of a .cdb file as JSON lines.
func newExportCommand(stdout, stderr *os.File) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "export FILE.cdb [-o OUT.jsonl]",
		Short:                 "Write a data file as JSON lines",
		GroupID:               filesGroup,
		DisableFlagsInUseLine: true,
		Args:                  arguments(1, 1),
	}
	out := cmd.Flags().StringP("output", "o", "", "write to this new `file` instead of standard output")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		from := args[0]
		if *out == "" {
			if _, err := exportTo(from, stdout, nil); err != nil {
				return usageError(err)
			}
			return nil
		}
		exported, err := exportFile(from, *out, loadProgress(onTerminal(stderr)))
		if err != nil {
			return usageError(err)
		}
		fmt.Fprintf(stdout, "%s -> %s: %d tables, %s entries\n", from, *out, len(exported.items), grouped(exported.all))
		return nil
	}
	return cmd
}

// exportFile is exportTo to a new file, which is complete or does not exist afterwards.
func exportFile(from, to string, progress progressFunc) (exported *visible, err error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf(
			"export: %s exists and will not be overwritten; choose another name with -o, or move it away",
			to,
		)
	}
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(to)
		}
	}()
	if exported, err = exportTo(from, f, progress); err != nil {
		return nil, err
	}
	return exported, f.Sync()
}

// exportTo writes what has not expired of a .cdb file as JSON lines. It reads the file twice, since
// each table's line says how many follow. It checks the file meanwhile: after an error, the output
// is incomplete.
func exportTo(from string, to io.Writer, progress progressFunc) (*visible, error) {
	path, err := follow(from)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	r, err := persist.Open(persist.OS, path)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	defer func() { _ = r.Close() }() // only read
	half := func(read int64) func(done, total int64) {
		if progress == nil {
			return nil
		}
		return func(done, total int64) { progress(from, read*total+done, 2*total) }
	}
	shown := newVisible(r.Info(), time.Now())
	if err := r.Load(1, shown, half(0)); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	version := 1
	switch {
	case shown.queues:
		version = jsonLinesVersion
	case shown.expires:
		version = 2
	}
	e := exporter{visible: shown, out: bufio.NewWriterSize(to, 1<<20)}
	fmt.Fprintf(
		e.out,
		"{\"cyberdb-fast\":\"jsonl\",\"version\":%d,\"tables\":%d,\"items\":%d}\n",
		version,
		len(shown.items),
		shown.all,
	)
	if err := r.Load(1, &e, half(1)); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return shown, e.out.Flush()
}

// exporter writes a loaded file as JSON lines.
type exporter struct {
	visible *visible // of the whole file
	out     *bufio.Writer
	begun   int           // tables
	table   persist.Table // the last of them
	line    []byte
}

// Table implements persist.Loader.
func (e *exporter) Table(t persist.Table) error {
	e.table = t
	line, err := jsonvalue.Append(append(e.line[:0], `{"table":`...), msgp.AppendString(nil, t.Name))
	if err != nil {
		return err
	}
	line = fmt.Appendf(line, ",\"kind\":%q,\"items\":%d", t.Kind.String(), e.visible.items[e.begun])
	if line, err = appendQueueOptions(appendTableOptions(line, t.Options), &t.Queue); err != nil {
		return err
	}
	e.line = append(line, '}', '\n')
	e.begun++
	_, err = e.out.Write(e.line)
	return err
}

// Block implements persist.Loader.
func (e *exporter) Block(b *persist.Block) error {
	if e.table.Kind == persist.List {
		return e.list(b)
	}
	for entry := range b.Entries() {
		deadline, shown := e.visible.shows(&e.table, &entry)
		if !shown {
			continue
		}
		if err := e.item(entry.Key, entry.Val, deadline); err != nil {
			return err
		}
	}
	return nil
}

// item writes the line of an entry.
func (e *exporter) item(key, val []byte, deadline int64) (err error) {
	if e.line, err = jsonvalue.Append(append(e.line[:0], `{"key":`...), key); err != nil {
		return err
	}
	if e.line, err = jsonvalue.Append(append(e.line, `,"value":`...), val); err != nil {
		return err
	}
	e.line = append(appendExpires(e.line, deadline), '}', '\n')
	_, err = e.out.Write(e.line)
	return err
}
