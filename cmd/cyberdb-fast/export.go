package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/pflag"
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/jsonvalue"
	"cyberdb-fast/persist"
)

// exportCommand is the command that writes a file as JSON lines.
const exportCommand = "export"

const exportUsage = "cyberdb-fast export FILE.cdb [-o OUT.jsonl]"

// runExport writes the tables of a .cdb file as JSON lines. It returns the exit code.
func runExport(args []string, stdout, stderr *os.File) int {
	flags := pflag.NewFlagSet(exportCommand, pflag.ContinueOnError)
	flags.Usage = func() {}
	out := flags.StringP("output", "o", "", "")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		if errors.Is(err, pflag.ErrHelp) {
			_, _ = io.WriteString(stdout, "Usage: "+exportUsage+"\n")
			return exitOK
		}
		return usageError(stderr, errors.New("usage: "+exportUsage))
	}
	from := flags.Arg(0)
	if *out == "" {
		if err := exportTo(from, stdout, nil); err != nil {
			return usageError(stderr, err)
		}
		return exitOK
	}
	info, err := exportFile(from, *out, loadProgress(onTerminal(stderr)))
	if err != nil {
		return usageError(stderr, err)
	}
	fmt.Fprintf(stdout, "%s -> %s: %d tables, %s entries\n", from, *out, info.Tables, grouped(info.Items))
	return exitOK
}

// exportFile is exportTo to a new file, which is complete or does not exist afterwards.
func exportFile(from, to string, progress func(file string, done, total int64)) (info persist.FileInfo, err error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return info, fmt.Errorf(
			"export: %s exists and will not be overwritten; choose another name with -o, or move it away",
			to,
		)
	}
	if err != nil {
		return info, fmt.Errorf("export: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(to)
		}
	}()
	if err := exportTo(from, f, func(r *persist.Reader, done, total int64) {
		info = r.Info()
		if progress != nil {
			progress(from, done, total)
		}
	}); err != nil {
		return info, err
	}
	return info, f.Sync()
}

// exportTo writes a .cdb file as JSON lines. It checks the file while reading: after an error, the
// output is incomplete.
func exportTo(from string, to io.Writer, progress func(r *persist.Reader, done, total int64)) (err error) {
	path, err := follow(from)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	r, err := persist.Open(persist.OS, path)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer func() { _ = r.Close() }() // only read
	info := r.Info()
	e := exporter{out: bufio.NewWriterSize(to, 1<<20)}
	fmt.Fprintf(
		e.out,
		"{\"cyberdb-fast\":\"jsonl\",\"version\":%d,\"tables\":%d,\"items\":%d}\n",
		jsonLinesVersion,
		info.Tables,
		info.Items,
	)
	var shown func(done, total int64)
	if progress != nil {
		shown = func(done, total int64) { progress(r, done, total) }
	}
	if err := r.Load(1, &e, shown); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return e.out.Flush()
}

// exporter writes a loaded file as JSON lines.
type exporter struct {
	out  *bufio.Writer
	kind persist.Kind
	line []byte
}

// Table implements persist.Loader.
func (e *exporter) Table(t persist.Table) error {
	e.kind = t.Kind
	name, err := jsonvalue.Append([]byte(`{"table":`), msgp.AppendString(nil, t.Name))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "%s,\"kind\":%q,\"items\":%d}\n", name, t.Kind.String(), t.Items)
	return err
}

// Block implements persist.Loader.
func (e *exporter) Block(b *persist.Block) error {
	if e.kind == persist.List {
		for val := range b.Elements() {
			if err := e.item(`{"value":`, nil, val); err != nil {
				return err
			}
		}
		return nil
	}
	for entry := range b.Entries() {
		if err := e.item(`{"key":`, entry.Key, entry.Val); err != nil {
			return err
		}
	}
	return nil
}

// item writes the line of one element, or of an entry if there is a key.
func (e *exporter) item(begin string, key, val []byte) (err error) {
	e.line = append(e.line[:0], begin...)
	if key != nil {
		if e.line, err = jsonvalue.Append(e.line, key); err != nil {
			return err
		}
		e.line = append(e.line, `,"value":`...)
	}
	if e.line, err = jsonvalue.Append(e.line, val); err != nil {
		return err
	}
	e.line = append(e.line, '}', '\n')
	_, err = e.out.Write(e.line)
	return err
}
