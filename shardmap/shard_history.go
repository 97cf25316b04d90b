package shardmap

import "slices"

// past holds entries as they were before mutations that open views do not show: of a shard from
// page to page, in the order in which they were changed. The entries of pages stay where they are,
// so the past of one entry is 32 bytes, however full its page is.
type past struct {
	pages  [][]pastEntry
	blocks [][]byte // records with blocks of their own, which the shard has given up
}

// pastEntry is an entry before a change. Views with numbers above its version, up to the change's,
// see it.
type pastEntry struct {
	entry entry // loc of a record in a block of its own: the number of the block
	place uint64
	until uint64 // LSN of the change << 8 | the entry's number in its page
}

func (e *pastEntry) slot() int { return int(e.until & (pageEntries - 1)) }

func (e *pastEntry) changed() uint64 { return e.until >> pageBits }

// seenBy tells whether a view with the number sees the entry.
func (e *pastEntry) seenBy(number uint64) bool {
	return e.entry.version() < number && number <= e.changed()
}

// keepPast keeps entry i, which is about to be changed and which open views may see.
func (s *shard) keepPast(w *write, i int, e *entry, place uint64) {
	if !e.live() || brokenHandover {
		return
	}
	if s.past == nil {
		s.past = &past{}
	}
	kept := pastEntry{*e, place, w.first<<pageBits | uint64(i&(pageEntries-1))}
	if e.size&flagOwnBlock != 0 {
		kept.entry.loc = uint32(len(s.past.blocks))
		s.past.blocks = append(s.past.blocks, s.chunks[e.loc>>16])
	}
	at := i >> pageBits
	if at >= len(s.past.pages) {
		s.past.pages = append(s.past.pages, make([][]pastEntry, len(s.pages)-len(s.past.pages))...)
	}
	entries := s.past.pages[at]
	if len(entries) == cap(entries) {
		entries = slices.DeleteFunc(entries, func(e pastEntry) bool { return !w.views.see(s.table, &e) })
	}
	s.past.pages[at] = append(entries, kept)
}

// see tells whether an open view of t sees e.
func (vs *viewList) see(t *Table, e *pastEntry) bool {
	for _, c := range vs.cuts {
		if c.covers(t) && e.seenBy(c.number) {
			return true
		}
	}
	return false
}

// seen is an entry of a shard as a view sees it. The record lasts as long as the view.
type seen struct {
	record         []byte
	original       bool // the record holds the key as first written, after the canonical key
	version, place uint64
}

// seenEntries is how many entries of a shard a view looks at under its lock at a time; it divides
// pageEntries.
const seenEntries = 64

// appendSeen appends those of the seenEntries entries from number num on that a view with the given
// number sees, in order. more: there are others behind them.
func (c *contents) appendSeen(dst []seen, number uint64, num int) (_ []seen, more bool) {
	var found [seenEntries]seen
	first, at := num&(pageEntries-1), num>>pageBits
	if at < len(c.pages) {
		p := &c.pages[at]
		used := min(first+seenEntries, len(p.entries), c.count-at<<pageBits)
		if p.born >= number {
			used = 0 // the view does not keep the page's block
		}
		for i := first; i < used; i++ {
			if e := &p.entries[i]; e.live() && e.version() < number {
				found[i-first] = seen{c.record(e), e.size&flagOriginal != 0, e.version(), p.place(e)}
			}
		}
	}
	if c.past != nil && at < len(c.past.pages) {
		for i := range c.past.pages[at] {
			e := &c.past.pages[at][i]
			if slot := e.slot() - first; uint(slot) < seenEntries && e.seenBy(number) {
				found[slot] = seen{c.pastRecord(e), e.entry.size&flagOriginal != 0, e.entry.version(), e.place}
			}
		}
	}
	for i := range found {
		if found[i].record != nil {
			dst = append(dst, found[i])
		}
	}
	num += seenEntries
	return dst, num < c.count || c.past != nil && num>>pageBits < len(c.past.pages)
}

func (c *contents) pastRecord(e *pastEntry) []byte {
	if e.entry.size&flagOwnBlock != 0 {
		return c.past.blocks[e.entry.loc]
	}
	return c.record(&e.entry)
}
