package shardmap

import (
	"container/list"
	"encoding/binary"
	"sync/atomic"
)

const (
	// maxOutdatedBytes bounds what open listings keep from being freed: former names of tables, and
	// dropped tables.
	maxOutdatedBytes = 64 << 20
	// outdatedTableBytes is what a dropped table counts in addition to its name.
	outdatedTableBytes = 2 << 10
	// listingPage is the number of tables that a listing reads before it checks again whether it
	// was ended.
	listingPage = 256
)

// Listing is the list of tables at one instant: a copy, which shares the names with the store. It
// is for slow readers. Call Measure first, then Each, on any goroutine; Close frees what the
// listing retains.
type Listing struct {
	store   *Store
	tables  atomic.Pointer[tableList] // nil: the listing was ended
	lengths []byte                    // of the tables, in order, each a uvarint

	// guarded by Store.mu
	element         *list.Element // in listings.open; nil: ended
	outdatedAtStart int64         // listings.outdated when the listing began
}

// listings are the open listings of a store. Guarded by Store.mu.
type listings struct {
	open     list.List // of *Listing, the oldest first
	outdated int64     // bytes of the names and tables that were dropped or renamed
}

// List begins a listing. It is O(1).
func (s *Store) List() *Listing {
	l := &Listing{store: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.tables.Store(s.list.Copy())
	l.element, l.outdatedAtStart = s.listings.open.PushBack(l), s.listings.outdated
	return l
}

// Measure reads the length of each table. It returns the bytes of memory that this takes.
func (l *Listing) Measure() int {
	tables := l.tables.Load()
	if tables == nil {
		return 0
	}
	l.lengths = make([]byte, 0, tables.Len())
	tables.Scan(func(t namedTable) bool {
		l.lengths = binary.AppendUvarint(l.lengths, uint64(t.table.Len()))
		return true
	})
	return cap(l.lengths)
}

// Each yields name, kind and length of each table, in order of creation. The names are those at the
// start of the listing; the lengths were read during Measure.
//
// Errors: ErrOutdated.
func (l *Listing) Each(yield func(name string, kind Kind, length int) bool) error {
	lengths, page := l.lengths, make([]namedTable, 0, listingPage)
	last := namedTable{table: &Table{}}
	for {
		tables := l.tables.Load()
		if tables == nil {
			return ErrOutdated
		}
		page = page[:0]
		tables.Ascend(last, func(t namedTable) bool {
			if createdBefore(last, t) {
				page = append(page, t)
			}
			return len(page) < cap(page)
		})
		for i := range page {
			length, n := binary.Uvarint(lengths)
			if lengths = lengths[n:]; !yield(page[i].name, page[i].table.kind, int(length)) {
				return nil
			}
		}
		if len(page) < cap(page) {
			return nil
		}
		last = page[len(page)-1]
	}
}

// Close ends the listing. Later calls do nothing.
func (l *Listing) Close() {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	l.store.listings.end(l)
}

// end removes a listing from the open ones and frees what it retains.
func (ls *listings) end(l *Listing) {
	if l.element != nil {
		ls.open.Remove(l.element)
		l.element = nil
		l.tables.Store(nil)
	}
}

// outdate counts a name that a table loses. It ends the oldest listings once too much was dropped
// since they began.
func (ls *listings) outdate(name string) {
	if ls.open.Len() == 0 {
		return
	}
	ls.outdated += int64(len(name) + outdatedTableBytes)
	for e := ls.open.Front(); e != nil; e = ls.open.Front() {
		oldest := e.Value.(*Listing)
		if ls.outdated-oldest.outdatedAtStart <= maxOutdatedBytes {
			return
		}
		ls.end(oldest)
	}
}

// endAll ends all listings, because all tables are replaced.
func (ls *listings) endAll() {
	for e := ls.open.Front(); e != nil; e = ls.open.Front() {
		ls.end(e.Value.(*Listing))
	}
}
