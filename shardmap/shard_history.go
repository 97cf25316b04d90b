package shardmap

import "slices"

// history holds old versions of a shard's entries that open views may see: per page, in the order
// of the changes. The entries of pages stay in place, so an old version takes 32 bytes.
type history struct {
	pages  [][]savedVersion
	blocks [][]byte // records with blocks of their own that the shard has given up
}

// savedVersion is an entry before a change. Views with LSNs from its version on, below the
// LSN of the change, see it.
type savedVersion struct {
	entry entry // for a record in its own block, loc is the number of the block
	place uint64
	until uint64 // LSN of the change << 8 | the entry's index in its page
}

func (e *savedVersion) slot() int { return int(e.until & (pageEntries - 1)) }

func (e *savedVersion) changed() uint64 { return e.until >> pageBits }

// visibleTo reports whether a view with the LSN sees the entry.
func (e *savedVersion) visibleTo(lsn uint64) bool {
	return e.entry.version() <= lsn && lsn < e.changed()
}

// saveVersion saves entry i, which is about to be changed and which open views may see.
func (s *shard) saveVersion(w *write, i int, e *entry, place uint64) {
	if !e.live() || brokenHandover {
		return
	}
	if s.history == nil {
		s.history = &history{}
	}
	kept := savedVersion{*e, place, w.first<<pageBits | uint64(i&(pageEntries-1))}
	if e.size&flagOwnBlock != 0 {
		kept.entry.loc = uint32(len(s.history.blocks))
		s.history.blocks = append(s.history.blocks, s.chunks[e.loc>>16])
	}
	at := i >> pageBits
	if at >= len(s.history.pages) {
		s.history.pages = append(s.history.pages, make([][]savedVersion, len(s.pages)-len(s.history.pages))...)
	}
	entries := s.history.pages[at]
	if len(entries) == cap(entries) {
		entries = slices.DeleteFunc(entries, func(e savedVersion) bool { return !w.views.anySees(s.table, &e) })
	}
	s.history.pages[at] = append(entries, kept)
}

// anySees reports whether an open view of t sees e.
func (vs *viewList) anySees(t *Table, e *savedVersion) bool {
	for _, c := range vs.cuts {
		if c.covers(t) && e.visibleTo(c.lsn) {
			return true
		}
	}
	return false
}

// visibleEntry is an entry of a shard as a view sees it. The record is valid as long as the view is
// open.
type visibleEntry struct {
	record         []byte
	flags          uint16 // of entry.size
	version, place uint64
}

// entriesPerRead is the number of entries that a view reads per locking of a shard. It divides
// pageEntries.
const entriesPerRead = 64

// appendVisible appends those of the entriesPerRead entries from number num on that a view with the
// given LSN sees, in order, without those that were idle for too long at a time. more reports
// whether there are further entries.
func (c *contents) appendVisible(dst []visibleEntry, lsn uint64, now int64, num int) (_ []visibleEntry, more bool) {
	var found [entriesPerRead]visibleEntry
	first, at := num&(pageEntries-1), num>>pageBits
	if at < len(c.pages) {
		p := &c.pages[at]
		used := min(first+entriesPerRead, len(p.entries), c.count-at<<pageBits)
		if p.createdLSN > lsn {
			used = 0 // the block is not retained for the view
		}
		passed := c.idling.passed(now)
		for i := first; i < used; i++ {
			e := &p.entries[i]
			if e.live() && e.version() <= lsn && (passed == 0 || !c.idleSince(at<<pageBits|i, passed)) {
				found[i-first] = visibleEntry{c.record(e), e.size, e.version(), p.place(e)}
			}
		}
	}
	if c.history != nil && at < len(c.history.pages) {
		for i := range c.history.pages[at] {
			e := &c.history.pages[at][i]
			if slot := e.slot() - first; uint(slot) < entriesPerRead && e.visibleTo(lsn) {
				found[slot] = visibleEntry{c.savedRecord(e), e.entry.size, e.entry.version(), e.place}
			}
		}
	}
	for i := range found {
		if found[i].record != nil {
			dst = append(dst, found[i])
		}
	}
	num += entriesPerRead
	return dst, num < c.count || c.history != nil && num>>pageBits < len(c.history.pages)
}

func (c *contents) savedRecord(e *savedVersion) []byte {
	if e.entry.size&flagOwnBlock != 0 {
		return c.history.blocks[e.entry.loc]
	}
	return c.record(&e.entry)
}
