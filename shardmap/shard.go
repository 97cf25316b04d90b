package shardmap

import (
	"math"
	"slices"
	"sync"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap/slab"
)

const (
	// A shard is split above splitAt live entries. splitAt is between minSplit and minSplit*4/3, so
	// that evenly filled shards do not all split at once. 4/3 of it is a little less than 0.8 of 16
	// Ki, where the index would grow again.
	minSplit = 9800

	// A shard is also split above splitBytes of records in chunks, because it copies those then.
	// splitBytes is between minSplitBytes and minSplitBytes*4/3.
	minSplitBytes = 3 << 19

	// minSlabBytes is the smallest block that is allocated outside the Go heap.
	minSlabBytes = slab.MinBlock

	// A shard is compacted when a quarter of its entries or record bytes is dead (three quarters
	// while a view retains what is given up, an eighth while memory is short), and at least this
	// much.
	minDeadEntries = 64
	minDeadBytes   = 4 << 10
)

// contents are a shard's entries and records.
type contents struct {
	pages   []page
	chunks  [][]byte // of records; nil: a free slot
	count   int      // all entries, including dead ones: the number of the next entry
	live    int
	history *history // nil: none
	idling  idling
}

// shard is one part of a dict under one lock. Like CPython's compact dict it has an index of
// entries that are in insertion order.
type shard struct {
	mu sync.Mutex

	// guarded by mu; what each lookup reads is first
	retired bool   // split, cleared or dropped: look in the directory again
	usage   *usage // nil: uses are not counted
	ages    bool   // entries without a deadline may expire: the table has a default or a time to idle
	contents
	index    []uint32 // see shard_index.go
	used     int      // slots of the index that are not empty
	frozenAt uint64   // the newest view that has the contents or does not need them
	chunkUse
	counted  int       // bytes of records that are in Dict.bytes
	incoming batchLoad // see Dict.splitsDue
	deadlines

	// constant
	table      *Table
	prefix     uint64 // the upper depth bits of its keys' hashes
	depth      uint
	splitAt    int
	splitBytes int
}

func newShard(t *Table, depth uint, prefix, frozenAt uint64) *shard {
	s := &shard{
		table:    t,
		ages:     t.aging || t.idle > 0,
		depth:    depth,
		prefix:   prefix,
		frozenAt: frozenAt,
		chunkUse: chunkUse{bump: -1},
	}
	jitter, least, leastBytes := mix(t.store.seed^prefix<<8^uint64(depth)), t.store.minSplit, t.store.minSplitBytes
	if t.tracks {
		s.usage = newUsage()
		s.idling.length = t.idle
	}
	s.splitAt = least + int(jitter%uint64(least/3+1))
	s.splitBytes = leastBytes + int(jitter%uint64(leastBytes/3+1))
	return s
}

// full reports whether the shard must be split.
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
	if e.size&(flagOriginal|flagMetadata) != 0 {
		key, val, _ = parts(rec, e.size)
		return key, val
	}
	n := value.Size(rec)
	return rec[:n], rec[n:]
}

// parts returns the key as first written, the value and the deadline (0: none) of a record, whose
// entry has the flags.
func parts(rec []byte, flags uint16) (key, val []byte, deadline int64) {
	n := value.Size(rec)
	if flags&flagOriginal != 0 {
		rec = rec[n:]
		n = value.Size(rec)
	}
	key, val = rec[:n], rec[n:]
	if flags&flagMetadata != 0 {
		deadline, val = takeMeta(val)
	}
	return key, val, deadline
}

// freeze returns a permanent copy of the contents, which the shard is about to give up.
func (s *shard) freeze() *contents {
	c := s.contents
	c.pages, c.chunks = slices.Clone(c.pages), slices.Clone(c.chunks)
	return &c
}

// write is the context of a change that has its LSNs.
type write struct {
	store *Store
	first uint64    // its first LSN
	views *viewList // as recent as first
	visibility
}

// begin assigns k LSNs to a change that cannot fail and whose locks are held.
func (t *Table) begin(c *Call, k uint64) write {
	n, vs := t.store.assign(c, t, k)
	if vs.newest == 0 {
		return write{store: t.store, first: n, views: vs}
	}
	return t.write(n, vs)
}

// write returns the context of a change to the table with LSNs from first on.
func (t *Table) write(first uint64, vs *viewList) write {
	return write{t.store, first, vs, vs.visibilityOf(t)}
}

// handover hands the shard's contents over to the views that need them, before w gives them up.
func (s *shard) handover(w *write) {
	if w.views.newest > s.frozenAt {
		s.frozenAt = w.views.handover(s.table, s, s.frozenAt, w.first, func() any { return s.freeze() })
	}
}

// appendEntry adds a live entry, with its own record, after all others.
func (s *shard) appendEntry(w *write, hash uint64, e entry, place uint64) {
	num := s.nextEntry(w, place)
	p := &s.pages[num>>pageBits]
	e.order = uint32(place - p.base)
	p.entries[num&(pageEntries-1)] = e
	s.count = num + 1
	s.live++
	s.addToIndex(w, hash, num)
}

// nextEntry returns the number of the next entry. It makes sure that the entry's page exists, can
// have the place and may be written.
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
		p.entries = entries // the old ones were too few for a slab block
	}
	return num
}

// closePage makes the entries of a page dead from num on. Their order is above that of the entries
// before them.
func (s *shard) closePage(num int) {
	rest := s.pages[num>>pageBits].entries[num&(pageEntries-1):]
	for i := range rest {
		rest[i] = entry{order: math.MaxUint32}
	}
}

// writable returns entry i for a change, after saving it for the views that may see it.
func (s *shard) writable(w *write, i int) *entry {
	p := &s.pages[i>>pageBits]
	e := &p.entries[i&(pageEntries-1)]
	if w.newest > s.frozenAt {
		if place := p.place(e); w.visible(e.version(), place) {
			s.saveVersion(w, i, e, place)
		}
	} else if w.newest == 0 && s.history != nil {
		s.history = nil // its views are closed
	}
	return e
}
