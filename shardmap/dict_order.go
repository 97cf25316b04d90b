package shardmap

import "sort"

// cursor walks over the live entries of one shard's contents, in order.
type cursor struct {
	shard    *shard
	contents *contents
	page     int
	slot     int
	place    uint64 // of the entry at page and slot
}

// seek moves to the first live entry whose place is above after. It returns false if there is none.
func (c *cursor) seek(after uint64) bool {
	pages := c.contents.pages
	c.page = max(sort.Search(len(pages), func(i int) bool { return pages[i].base > after })-1, 0)
	c.slot = 0
	if c.page < len(pages) && pages[c.page].base <= after {
		p := &pages[c.page]
		used := c.used(p)
		c.slot = sort.Search(used, func(i int) bool { return p.place(&p.entries[i]) > after })
	}
	return c.skipDead()
}

// step moves to the next live entry. It returns false if there is none.
func (c *cursor) step() bool {
	c.slot++
	return c.skipDead()
}

// skipDead moves forward to a live entry, unless it is at one.
func (c *cursor) skipDead() bool {
	for ; c.page < len(c.contents.pages); c.page, c.slot = c.page+1, 0 {
		p := &c.contents.pages[c.page]
		for used := c.used(p); c.slot < used; c.slot++ {
			if e := &p.entries[c.slot]; e.live() {
				c.place = p.place(e)
				return true
			}
		}
	}
	return false
}

// used returns how many entries of page p are in use.
func (c *cursor) used(p *page) int {
	return max(min(len(p.entries), c.contents.count-c.page*pageEntries), 0)
}

// hidden reports whether the entry has expired.
func (c *cursor) hidden(h *hiding) bool {
	e := c.entry()
	return h.hides(c.contents.deadlineOf(e), e.version()) || h.now > 0 && c.shard.idle(c.page<<pageBits|c.slot, h.now)
}

func (c *cursor) entry() *entry { return &c.contents.pages[c.page].entries[c.slot] }

// merge walks over the entries of several contents in the order of the dict. It is a binary heap of
// cursors.
type merge []cursor

// add adds the entries of s whose places are above after. Call init when all are added.
func (m *merge) add(s *shard, after uint64) {
	cur := cursor{shard: s, contents: &s.contents}
	if s.live > 0 && cur.seek(after) {
		*m = append(*m, cur)
	}
}

func (m merge) init() {
	for i := len(m)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
}

// next moves past the entry at the front, m[0]. A merge without entries is empty.
func (m *merge) next() {
	h := *m
	if !h[0].step() {
		last := len(h) - 1
		h[0] = h[last]
		h[last] = cursor{}
		*m = h[:last]
	}
	m.down(0)
}

func (m merge) down(i int) {
	if i >= len(m) {
		return
	}
	cur := m[i]
	for {
		child := 2*i + 1
		if child >= len(m) {
			break
		}
		if child+1 < len(m) && m[child+1].place < m[child].place {
			child++
		}
		if cur.place <= m[child].place {
			break
		}
		m[i] = m[child]
		i = child
	}
	m[i] = cur
}
