package loop

import (
	"fmt"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/persist"
)

// TableWriter takes tables, each with its items in order; *persist.Writer is one.
type TableWriter interface {
	Table(t persist.Table) error
	Entry(e persist.Entry) error
	Element(val []byte) error
}

// WriteOld writes the tables of a file that CyberDB wrote to w. Every table and every entry gets an
// LSN of its own, in order, from 1 on; step is called for each entry.
//
// Errors: *legacy.FileError for a table or an entry that cannot be kept; those of w.
func WriteOld(w TableWriter, old *legacy.File, step func()) error {
	lsn := uint64(0)
	var room []byte
	for _, t := range old.Tables {
		if n := len(t.Name); n < 1 || n > codec.MaxTableNameBytes {
			return fmt.Errorf(
				"a table's name has %d bytes; 1 to %d may be: rename it with CyberDB first",
				n,
				codec.MaxTableNameBytes,
			)
		}
		lsn++
		table := persist.Table{Name: t.Name, Kind: persist.Dict, Created: lsn, Items: uint64(t.Len())}
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
			step()
		}
	}
	return nil
}

// OldItems returns how many entries the tables of a file that CyberDB wrote have together.
func OldItems(old *legacy.File) (n uint64) {
	for _, t := range old.Tables {
		n += uint64(t.Len())
	}
	return n
}
