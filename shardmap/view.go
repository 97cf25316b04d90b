package shardmap

import (
	"cmp"
	"iter"
	"slices"
)

// View shows the content of the whole store at a cut, while writers continue. Close it: what an
// open view shows is not freed.
type View struct{ cut *cut }

// View opens a view of all tables. The cut assigns no LSN, so views may have the same one.
func (s *Store) View() *View { return &View{s.newCut(nil)} }

// LSN returns the view's LSN: it shows exactly the changes with LSNs up to that.
func (v *View) LSN() uint64 { return v.cut.lsn }

// Close ends the view and frees what was retained for it. Nothing of the view may be in use. Later
// calls do nothing.
func (v *View) Close() { v.cut.close() }

// Tables yields the tables that existed at the cut, by the names that they had, in order of
// creation.
//
// A table may be read until the view is closed. Reading one waits for a long write that the view
// must show.
func (v *View) Tables() iter.Seq2[string, *TableView] {
	return func(yield func(string, *TableView) bool) {
		for _, t := range v.cut.tables() {
			if !yield(t.name, newTableView(v.cut, t.table)) {
				return
			}
		}
	}
}

// tables returns the names and tables of the cut: those that still have their names, and those that
// were handed over.
func (c *cut) tables() []namedTable {
	c.store.mu.Lock()
	list := c.store.list.Copy()
	c.mu.Lock()
	tables := slices.Clone(c.names)
	c.mu.Unlock()
	c.store.mu.Unlock()
	list.Scan(func(t namedTable) bool {
		if t.namedLSN <= c.lsn {
			tables = append(tables, t)
		}
		return true
	})
	slices.SortFunc(tables, func(a, b namedTable) int { return cmp.Compare(a.table.createdLSN, b.table.createdLSN) })
	return tables
}

// TableView is one table of a View.
type TableView struct {
	table *Table
	dict  *DictView
	list  *ListView
}

func newTableView(c *cut, t *Table) *TableView {
	if t.dict != nil {
		return &TableView{table: t, dict: newDictView(c, t.dict)}
	}
	return &TableView{table: t, list: newListView(c, t.list)}
}

// Kind returns the kind of the table.
func (v *TableView) Kind() Kind { return v.table.kind }

// Created returns the LSN of the table's creation. It orders the tables of a store.
func (v *TableView) Created() uint64 { return v.table.createdLSN }

// Err returns ErrPoisoned if the table is poisoned: what was read of it may be wrong. Check it
// after the last read.
func (v *TableView) Err() error { return v.table.Err() }

// Dict returns the table as a dict, nil if it is a list. Closing the View closes it.
func (v *TableView) Dict() *DictView { return v.dict }

// List returns the table as a list, nil if it is a dict. Closing the View closes it.
func (v *TableView) List() *ListView { return v.list }
