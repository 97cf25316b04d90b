package shardmap

import (
	"github.com/puzpuzpuz/xsync/v3"
	"github.com/tidwall/btree"
)

// tableMap leads from names to tables. It is read without a lock.
type tableMap = xsync.MapOf[string, *Table]

// tableList holds all tables in order of creation. A copy of it is O(1): it shares its nodes, which
// are copied when either list changes them. So a reader that walks over many tables needs Store.mu
// for the copy alone.
type tableList = btree.BTreeG[namedTable]

// namedTable is a table under one of its names.
type namedTable struct {
	name     string
	table    *Table
	namedLSN uint64 // LSN since which the table has the name
}

func newTableList() *tableList {
	return btree.NewBTreeGOptions(createdBefore, btree.Options{NoLocks: true})
}

// createdBefore orders tables by their creation. Names part tables that a panic has left with one
// number.
func createdBefore(a, b namedTable) bool {
	return a.table.createdLSN < b.table.createdLSN || a.table.createdLSN == b.table.createdLSN && a.name < b.name
}

// nameLocked gives t a name from the mutation n on. The caller holds mu.
func (s *Store) nameLocked(name string, t *Table, n uint64) {
	t.namedLSN = n
	if old, there := s.tables.Load().LoadAndStore(name, t); there { // a panic has left it
		s.list.Delete(namedTable{name: name, table: old})
	}
	s.list.Set(namedTable{name, t, n})
}

// unnameLocked takes a name from t. The caller holds mu.
func (s *Store) unnameLocked(name string, t *Table) {
	s.tables.Load().Delete(name)
	s.list.Delete(namedTable{name: name, table: t})
	s.listings.outdate(name)
}

// exchangeLocked puts other tables in the place of all. The caller holds mu.
func (s *Store) exchangeLocked(names *tableMap, list *tableList) {
	s.tables.Store(names)
	s.list = list
	s.listings.endAll()
}

// copyList returns a copy of the list.
func (s *Store) copyList() *tableList {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list.Copy()
}

// tablesOf returns the tables of a list as a slice.
func tablesOf(list *tableList) []namedTable {
	tables := make([]namedTable, 0, list.Len())
	list.Scan(func(t namedTable) bool {
		tables = append(tables, t)
		return true
	})
	return tables
}

// Tables yields name, kind and length of each table, in order of creation. The names are those of
// one moment; each length is read when it is yielded.
func (s *Store) Tables(yield func(name string, kind Kind, length int) bool) {
	s.copyList().Scan(func(t namedTable) bool { return yield(t.name, t.table.kind, t.table.Len()) })
}

// Len returns how many tables there are.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list.Len()
}
