package shardmap

import (
	"cmp"
	"iter"
	"slices"
)

// View shows what the whole store held at a cut, while writers go on. Close it: an open view keeps
// what it shows from being freed.
type View struct{ cut *cut }

// View opens a view of all tables. The cut draws a number and has no request.
func (s *Store) View(c *Call) *View { return &View{s.newCut(c, nil)} }

// Number returns the view's place on the store's clock: it shows exactly the mutations with lower
// LSNs.
func (v *View) Number() uint64 { return v.cut.number }

// Close ends the view and lets go what was kept for it. Nothing of the view may be in use. It may
// be called more than once.
func (v *View) Close() { v.cut.close() }

// Tables yields the tables that there were at the cut, by the names they had, in order of creation.
//
// A table may be read until the view is closed. Reading one waits for a long write that the view
// must show whole.
func (v *View) Tables() iter.Seq2[string, *TableView] {
	return func(yield func(string, *TableView) bool) {
		for _, t := range v.cut.tables() {
			if !yield(t.name, newTableView(v.cut, t.table)) {
				return
			}
		}
	}
}

// tables returns the names and tables of the cut: those that have kept their names since, and those
// that were handed over.
func (c *cut) tables() []namedTable {
	c.store.mu.Lock()
	list := c.store.list.Copy()
	c.mu.Lock()
	tables := slices.Clone(c.names)
	c.mu.Unlock()
	c.store.mu.Unlock()
	list.Scan(func(t namedTable) bool {
		if t.namedLSN < c.number {
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

// Kind returns what the table is.
func (v *TableView) Kind() Kind { return v.table.kind }

// Created returns the LSN of the table's creation. The tables of a store are in this order.
func (v *TableView) Created() uint64 { return v.table.createdLSN }

// Err returns ErrPoisoned if the table is spoiled: what was read of it may not be what it held. Look
// when all is read.
func (v *TableView) Err() error { return v.table.Err() }

// Dict returns the table as a dict, nil if it is a list. Closing it is left to the View.
func (v *TableView) Dict() *DictView { return v.dict }

// List returns the table as a list, nil if it is a dict. Closing it is left to the View.
func (v *TableView) List() *ListView { return v.list }
