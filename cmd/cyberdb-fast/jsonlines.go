package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bytedance/sonic"
	"github.com/bytedance/sonic/ast"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/jsonvalue"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/persist"
)

const (
	jsonLinesVersion = 3
	// maxLineBytes bounds one line; no value needs more.
	maxLineBytes = 512 << 20
)

// isJSONLines reports whether a file with these first bytes has JSON lines.
func isJSONLines(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{"))
}

// importJSONLines converts JSON lines to a .cdb file, which is complete or does not exist
// afterwards. It returns a summary.
//
// Errors name the line.
func importJSONLines(from, to string, progress progressFunc) (summary string, err error) {
	file, size, err := openFile(from)
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	f := io.NewSectionReader(file, 0, size)
	lines, err := countLines(f)
	if err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	// Every table and every entry takes one LSN, in order; the file holds those up to its own.
	stamp := persist.Stamp{Database: persist.NewID(), LSN: lines + 1, Created: time.Now()}
	var wrong error // with the lines
	info, err := persist.WriteFile(persist.OS, to, stamp, persist.S2, func(w *persist.Writer) error {
		in := jsonImport{to: w, tables: make(map[string]bool)}
		wrong = in.readAll(f, func(done int64) {
			if progress != nil {
				progress(from, done, size)
			}
		})
		return wrong
	})
	switch {
	case wrong != nil:
		return "", fmt.Errorf("import: %s: %w; nothing was imported", from, wrong)
	case err != nil:
		return "", fmt.Errorf("import: %w", err)
	}
	return fmt.Sprintf("%s (%s bytes) -> %s (%s bytes): %d tables, %s entries\n",
		from, grouped(uint64(size)), to, grouped(uint64(info.Bytes)), info.Tables, grouped(info.Items)), nil
}

// countLines counts the lines of a file and returns to its beginning.
func countLines(f io.ReadSeeker) (lines uint64, err error) {
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		lines += uint64(bytes.Count(buf[:n], []byte{'\n'}))
		if errors.Is(err, io.EOF) {
			_, err = f.Seek(0, io.SeekStart)
			return lines + 1, err
		}
		if err != nil {
			return 0, err
		}
	}
}

// jsonImport writes the tables of JSON lines to a .cdb file.
type jsonImport struct {
	to     *persist.Writer
	tables map[string]bool
	lsn    uint64
	table  persist.Table // the current one
	left   uint64        // items that it must still have
	keys   map[string]struct{}
	want   *jsonHeader
}

// jsonHeader is the first line.
type jsonHeader struct{ tables, items uint64 }

func (in *jsonImport) readAll(f io.Reader, progress func(done int64)) error {
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 1<<20), maxLineBytes)
	done := int64(0)
	number := 0
	for lines.Scan() {
		number++
		done += int64(len(lines.Bytes())) + 1
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := in.line(lines.Text()); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if number%1000 == 0 {
			progress(done)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", number+1, err)
	}
	progress(done)
	return in.end(number)
}

// end checks the counts.
func (in *jsonImport) end(number int) error {
	items := in.lsn - uint64(len(in.tables))
	switch {
	case in.left > 0:
		return fmt.Errorf(
			"line %d: the file ends, but %d items of table %q are missing",
			number,
			in.left,
			in.table.Name,
		)
	case in.want == nil:
		return errors.New("the first line is missing")
	case in.want.tables != uint64(len(in.tables)) || in.want.items != items:
		return fmt.Errorf(
			"line %d: the file has %d items in %d tables, but its first line says %d in %d",
			number,
			items,
			len(in.tables),
			in.want.items,
			in.want.tables,
		)
	}
	return nil
}

// line handles one line: the first, a table's or an item's.
func (in *jsonImport) line(text string) error {
	if !sonic.ValidString(text) {
		return errors.New("not JSON")
	}
	node, code := ast.NewParser(text).Parse()
	if code != 0 || node.TypeSafe() != ast.V_OBJECT {
		return errors.New("not a JSON object")
	}
	switch {
	case in.want == nil:
		return in.header(&node)
	case in.left > 0:
		return in.item(&node)
	}
	return in.begin(&node)
}

func (in *jsonImport) header(node *ast.Node) error {
	format, err := node.Get("cyberdb-fast").StrictString()
	if err != nil || format != "jsonl" {
		return errors.New(`not the first line of an export: {"cyberdb-fast":"jsonl", ...}`)
	}
	version, err := countOf(node, "version")
	if err != nil {
		return err
	}
	if version < 1 || version > jsonLinesVersion {
		return fmt.Errorf(
			"version %d was written by a newer cyberdb-fast; this one reads 1 to %d",
			version,
			jsonLinesVersion,
		)
	}
	in.want = &jsonHeader{}
	if in.want.tables, err = countOf(node, "tables"); err != nil {
		return err
	}
	in.want.items, err = countOf(node, "items")
	return err
}

func countOf(node *ast.Node, key string) (uint64, error) {
	n, err := node.Get(key).StrictInt64()
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q must be a number", key)
	}
	return uint64(n), nil
}

// begin handles the line of a table.
func (in *jsonImport) begin(node *ast.Node) error {
	if !node.Get("table").Exists() {
		return errors.New("expected the line of a table: the table before has all its items")
	}
	b, err := jsonvalue.ParseNode(node.Get("table"))
	if err != nil {
		return fmt.Errorf("the table's name: %w", err)
	}
	name, err := govalue.UnmarshalOf[string](b)
	if err != nil || name == "" || len(name) > codec.MaxTableNameBytes {
		return fmt.Errorf("the name of a table must be a string of 1 to %d bytes", codec.MaxTableNameBytes)
	}
	if in.tables[name] {
		return fmt.Errorf("duplicate table name %q", name)
	}
	in.tables[name] = true
	if in.left, err = countOf(node, "items"); err != nil {
		return err
	}
	in.lsn++
	in.table = persist.Table{Name: name, Created: in.lsn}
	switch kind, _ := node.Get("kind").StrictString(); kind {
	case persist.Dict.String():
		in.table.Kind, in.keys = persist.Dict, make(map[string]struct{})
	case persist.List.String():
		in.table.Kind, in.table.Version = persist.List, in.lsn+in.left
	case persist.Locks.String():
		in.table.Kind, in.keys = persist.Locks, make(map[string]struct{})
	default:
		return fmt.Errorf("the kind of table %q must be dict, list or locks", name)
	}
	if in.table.Kind == persist.List {
		in.table.Queue, err = parseQueueOptions(node.Get("options"), name)
	} else {
		in.table.Options, err = parseTableOptions(node.Get("options"))
	}
	if err != nil {
		return fmt.Errorf("table %q: %w", name, err)
	}
	if in.table.Kind == persist.Locks && hasOptions(in.table.Options) {
		return fmt.Errorf("table %q has the locks, so it has no options", name)
	}
	return in.to.Table(in.table)
}

// item handles the line of an entry or an element.
func (in *jsonImport) item(node *ast.Node) error {
	if !node.Get("value").Exists() {
		return fmt.Errorf("expected an item of table %q: %d are missing", in.table.Name, in.left)
	}
	val, err := jsonvalue.ParseNode(node.Get("value"))
	if err != nil {
		return fmt.Errorf("table %q: the value: %w", in.table.Name, err)
	}
	deadline, err := parseExpires(node.Get("expires"))
	if err != nil {
		return fmt.Errorf("table %q: %w", in.table.Name, err)
	}
	in.lsn++
	in.left--
	if in.table.Kind == persist.List {
		if deadline != 0 {
			return fmt.Errorf("table %q is a list, so its elements do not expire", in.table.Name)
		}
		if err := in.element(node, val); err != nil {
			return fmt.Errorf("table %q: %w", in.table.Name, err)
		}
		return nil
	}
	if !node.Get("key").Exists() {
		return fmt.Errorf("table %q is a dict, so its entries must have a key", in.table.Name)
	}
	key, err := jsonvalue.ParseNode(node.Get("key"))
	if err != nil {
		return fmt.Errorf("table %q: the key: %w", in.table.Name, err)
	}
	if err := in.another(key); err != nil {
		return fmt.Errorf("table %q: the key: %w", in.table.Name, err)
	}
	return in.to.Entry(persist.Entry{Key: key, Val: val, Version: in.lsn, Place: in.lsn, Deadline: deadline})
}

// another returns an error if the key is not valid or is a duplicate.
func (in *jsonImport) another(key []byte) error {
	canonical, unequal, err := value.Key(key, nil)
	if err != nil || unequal {
		return err
	}
	if _, there := in.keys[string(canonical)]; there {
		return errors.New("duplicate key")
	}
	in.keys[string(canonical)] = struct{}{}
	return nil
}
