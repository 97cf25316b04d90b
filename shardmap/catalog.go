package shardmap

import (
	"github.com/puzpuzpuz/xsync/v3"
	"github.com/tidwall/btree"
)

// tableMap maps names to tables. It is read without a lock.
type tableMap = xsync.MapOf[string, *Table]

// tableList holds all tables in order of creation. Copying it is O(1): copies share nodes, which
// are copied when a list changes them. A reader that walks over many tables needs Store.mu only for
// the copy.
type tableList = btree.BTreeG[namedTable]

// namedTable is a table under one of its names.
type namedTable struct {
	name     string
	table    *Table
	namedLSN uint64 // LSN of the change that gave the table this name
}

func newTableList() *tableList {
	return btree.NewBTreeGOptions(createdBefore, btree.Options{NoLocks: true})
}

// createdBefore orders tables by their creation. Tables that a panic has left with equal LSNs are
// ordered by name.
func createdBefore(a, b namedTable) bool {
	return a.table.createdLSN < b.table.createdLSN || a.table.createdLSN == b.table.createdLSN && a.name < b.name
}

// nameLocked gives t a name as of LSN n. The caller holds mu.
func (s *Store) nameLocked(name string, t *Table, n uint64) {
	t.namedLSN = n
	if old, there := s.tables.Load().LoadAndStore(name, t); there { // left behind by a panic
		s.list.Delete(namedTable{name: name, table: old})
	}
	s.list.Set(namedTable{name, t, n})
}

// unnameLocked removes a name of t. The caller holds mu.
func (s *Store) unnameLocked(name string, t *Table) {
	s.tables.Load().Delete(name)
	s.list.Delete(namedTable{name: name, table: t})
	s.listings.outdate(name)
}

// exchangeLocked replaces all tables. The caller holds mu.
func (s *Store) exchangeLocked(names *tableMap, list *tableList) {
	s.tables.Store(names)
	s.list = list
	s.listings.endAll()
	list.Scan(func(t namedTable) bool {
		t.table.begins()
		return true
	})
}

// copyList returns a copy of the list of tables.
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

// Tables yields name, kind and length of each table, in order of creation. All names are of one
// instant; each length is read when it is yielded.
func (s *Store) Tables(yield func(name string, kind Kind, length int) bool) {
	s.copyList().Scan(func(t namedTable) bool { return yield(t.name, t.table.kind, t.table.Len()) })
}

// AllTables yields each table, as Tables.
func (s *Store) AllTables(yield func(name string, t *Table) bool) {
	s.copyList().Scan(func(t namedTable) bool { return yield(t.name, t.table) })
}

// Dicts yields name and dict of each table that is a dict, but not of the locks, as Tables.
func (s *Store) Dicts(yield func(name string, d *Dict) bool) {
	s.copyList().Scan(func(t namedTable) bool { return t.table.kind != KindDict || yield(t.name, t.table.dict) })
}

// Len returns the number of tables.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list.Len()
}
