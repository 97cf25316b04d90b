package shardmap

import (
	"container/list"
	"encoding/binary"
	"sync/atomic"
)

const (
	// maxOutdatedBytes bounds what open listings keep from being freed: names that no table has any
	// more, and dropped tables.
	maxOutdatedBytes = 64 << 20
	// outdatedTableBytes is what a dropped table counts beside its name.
	outdatedTableBytes = 2 << 10
	// listingPage is how many tables a listing looks at between two looks at whether it was
	// abandoned.
	listingPage = 256
)

// Listing is the tables that there were at one moment: a copy of the list, which shares the names
// with the store. It is for readers that take their time. Measure is called first; then Each, by
// any goroutines; Close, last, frees what the listing keeps.
type Listing struct {
	store   *Store
	tables  atomic.Pointer[tableList] // nil: closed, or abandoned
	lengths []byte                    // of the tables, in their order, each a uvarint

	// guarded by Store.mu
	element         *list.Element // nil: not among the open ones
	outdatedAtStart int64         // listings.outdated at the beginning
}

// listings are the open listings of a store. Guarded by Store.mu.
type listings struct {
	open     list.List // of *Listing, the oldest first
	outdated int64     // bytes of the names and tables that went, since the start
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

// Measure reads the length of each table. It returns how many bytes of memory the listing has of
// its own.
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

// Each yields name, kind and length of each table, in order of creation. The names are those of the
// moment when the listing began; each length is of a moment during Measure.
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

// Close ends the listing. It may be called more than once.
func (l *Listing) Close() {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	l.store.listings.end(l)
}

// end takes a listing out of the open ones and lets go what it keeps.
func (ls *listings) end(l *Listing) {
	if l.element != nil {
		ls.open.Remove(l.element)
		l.element = nil
		l.tables.Store(nil)
	}
}

// outdate counts a name that a table loses. The oldest listings are abandoned once too much went
// since they began.
func (ls *listings) outdate(name string) {
	if ls.open.Len() == 0 {
		return
	}
	ls.outdated += int64(len(name) + outdatedTableBytes)
	for e := ls.open.Front(); e != nil && ls.outdated-e.Value.(*Listing).outdatedAtStart > maxOutdatedBytes; e = ls.open.Front() {
		ls.end(e.Value.(*Listing))
	}
}

// endAll ends all listings: what they show is replaced.
func (ls *listings) endAll() {
	for e := ls.open.Front(); e != nil; e = ls.open.Front() {
		ls.end(e.Value.(*Listing))
	}
}
