package shardmap

import (
	"math"
	"slices"
	"sync"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap/slab"
)

const (
	// A shard is split above splitAt live entries, which lies between leastSplit and
	// leastSplit*4/3, so that shards filled evenly do not split all at once. 4/3 of it is a little
	// less than 0.8 of 16 Ki, where the index would grow once more.
	minSplit = 9800

	// It is also split above splitBytes of records in chunks, which it copies then: between
	// leastSplitBytes and leastSplitBytes*4/3.
	minSplitBytes = 3 << 19

	// minSlabBytes is the smallest block that is taken from outside the Go heap.
	minSlabBytes = slab.MinBlock

	// A shard is compacted when a quarter of its entries or of the bytes of its records is dead,
	// three quarters while a view keeps what is given up, and at least so much.
	minDeadEntries = 64
	minDeadBytes   = 4 << 10
)

// contents are a shard's entries and records.
type contents struct {
	pages   []page
	chunks  [][]byte // of records; nil: free
	count   int      // entries, dead ones included: the number of the next
	live    int
	history *history // nil: there is none
}

// shard is one part of a dict under one lock: CPython's compact dict, an index of entries that
// stand in the order of insertion.
type shard struct {
	mu sync.Mutex

	// guarded by mu; what each lookup reads stands first
	retired bool // split, cleared or dropped: look again in the directory
	contents
	index    []uint32 // see shard_index.go
	used     int      // slots of the index that are not empty
	frozenAt uint64   // the newest view that has been given the contents, or needs none of them
	chunkUse
	incoming batchLoad // see Dict.splitsDue

	// constant
	table      *Table
	prefix     uint64 // the upper depth bits of the hashes of its keys
	depth      uint
	splitAt    int
	splitBytes int
}

func newShard(t *Table, depth uint, prefix, frozenAt uint64) *shard {
	s := &shard{table: t, depth: depth, prefix: prefix, frozenAt: frozenAt, chunkUse: chunkUse{bump: -1}}
	jitter, least, leastBytes := mix(t.store.seed^prefix<<8^uint64(depth)), t.store.minSplit, t.store.minSplitBytes
	s.splitAt = least + int(jitter%uint64(least/3+1))
	s.splitBytes = leastBytes + int(jitter%uint64(leastBytes/3+1))
	return s
}

// full tells whether the shard is to be split.
func (s *shard) full() bool { return s.live > s.splitAt || s.liveBytes > s.splitBytes }

// mix is the finalizer of MurmurHash3 (Austin Appleby, public domain).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// record returns the bytes of a live entry's record.
func (c *contents) record(e *entry) []byte {
	chunk := c.chunks[e.loc>>16]
	if e.size&flagOwnBlock != 0 {
		return chunk
	}
	offset := e.loc & 0xffff
	return chunk[offset : offset+uint32(e.size&sizeMask)]
}

// entry returns entry number i.
func (c *contents) entry(i int) *entry { return &c.pages[i>>pageBits].entries[i&(pageEntries-1)] }

// place returns the place of entry number i.
func (c *contents) place(i int) uint64 {
	p := &c.pages[i>>pageBits]
	return p.place(&p.entries[i&(pageEntries-1)])
}

// pair returns the key, as first written, and the value of a live entry.
func (c *contents) pair(e *entry) (key, val []byte) {
	rec := c.record(e)
	n := value.Size(rec)
	if e.size&flagOriginal == 0 {
		return rec[:n], rec[n:]
	}
	rec = rec[n:]
	n = value.Size(rec)
	return rec[:n], rec[n:]
}

// keyAndValue returns the bytes of pair, which lie back to back.
func (c *contents) keyAndValue(e *entry) []byte {
	rec := c.record(e)
	if e.size&flagOriginal == 0 {
		return rec
	}
	return rec[value.Size(rec):]
}

// freeze returns the contents as they are now, for good: the shard is about to give them up.
func (s *shard) freeze() *contents {
	c := s.contents
	c.pages, c.chunks = slices.Clone(c.pages), slices.Clone(c.chunks)
	return &c
}

// write is what a mutation knows when its numbers are drawn.
type write struct {
	store *Store
	first uint64    // its first LSN
	views *viewList // as young as first
	visibility
}

// begin draws k numbers for a mutation whose locks are held and which cannot fail any more.
func (t *Table) begin(c *Call, k uint64) write {
	n, vs := t.store.assign(c, t, k)
	if vs.newest == 0 {
		return write{store: t.store, first: n, views: vs}
	}
	return t.write(n, vs)
}

// write returns what a mutation of the table knows that drew numbers from first on.
func (t *Table) write(first uint64, vs *viewList) write {
	return write{t.store, first, vs, vs.visibilityOf(t)}
}

// handover gives the shard's contents to the views that must have them, before w gives them up.
func (s *shard) handover(w *write) {
	if w.views.newest > s.frozenAt {
		s.frozenAt = w.views.handover(s.table, s, s.frozenAt, w.first, func() any { return s.freeze() })
	}
}

// appendEntry adds a live entry with a record of its own after all others.
func (s *shard) appendEntry(w *write, hash uint64, e entry, place uint64) {
	num := s.nextEntry(w, place)
	p := &s.pages[num>>pageBits]
	e.order = uint32(place - p.base)
	p.entries[num&(pageEntries-1)] = e
	s.count = num + 1
	s.live++
	s.addToIndex(w, hash, num)
}

// nextEntry returns the number of the next entry and sees to it that its page is there, can express
// place and may be written.
func (s *shard) nextEntry(w *write, place uint64) int {
	num := s.count
	if num>>pageBits < len(s.pages) && !s.pages[num>>pageBits].holds(place) && num&(pageEntries-1) != 0 {
		s.closePage(num)
		num = (num>>pageBits + 1) << pageBits
	}
	if num>>pageBits == len(s.pages) {
		n := pageEntries
		if num == 0 {
			n = firstEntries
		}
		s.pages = append(s.pages, page{entries: w.store.newEntries(n), base: place, createdLSN: w.first})
		return num
	}
	p := &s.pages[num>>pageBits]
	if num&(pageEntries-1) == 0 {
		p.base = place
	}
	if num&(pageEntries-1) == len(p.entries) {
		entries := w.store.newEntries(min(4*len(p.entries), pageEntries))
		copy(entries, p.entries)
		p.entries = entries // the old ones were too few for a block of the slabs
	}
	return num
}

// closePage leaves the rest of a page dead, from entry num on, in order behind the entries before
// it.
func (s *shard) closePage(num int) {
	rest := s.pages[num>>pageBits].entries[num&(pageEntries-1):]
	for i := range rest {
		rest[i] = entry{order: math.MaxUint32}
	}
}

// writable returns entry number i for changing, after it was kept for the views that may see it.
func (s *shard) writable(w *write, i int) *entry {
	p := &s.pages[i>>pageBits]
	e := &p.entries[i&(pageEntries-1)]
	if w.newest > s.frozenAt {
		if place := p.place(e); w.visible(e.version(), place) {
			s.saveVersion(w, i, e, place)
		}
	} else if w.newest == 0 && s.history != nil {
		s.history = nil // of views that are closed
	}
	return e
}
