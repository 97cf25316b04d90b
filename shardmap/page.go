package shardmap

import "unsafe"

// pageEntries is the number of entries in a full page; entry i of a shard is entry i%pageEntries of
// page i/pageEntries.
const (
	pageEntries = 256
	pageBits    = 8
	entryBytes  = 16

	// firstEntries is the number of entries in the first page of a new shard.
	firstEntries = 8
)

// entry locates a record and has its place in the order and its version.
//
//	 0       4      6      8          12          16
//	+-------+------+------+----------+-----------+
//	| loc   | size | version's high, low | order |
//	+-------+------+------+----------+-----------+
//
// Size 0 means that the entry is dead or was never written. The orders of all entries of a page
// ascend, including dead ones.
type entry struct {
	loc uint32 // chunk number << 16 | offset
	// size is the record's size in bytes, with the flags; for a record in its own block, the
	// flags alone.
	size        uint16
	versionHigh uint16
	versionLow  uint32
	order       uint32 // place - page.base
}

// Flags in entry.size.
const (
	flagOriginal = 1 << 15 // the record holds the key as first written, after the canonical key
	flagOwnBlock = 1 << 14 // the record has its own block
	flagMetadata = 1 << 13 // the record holds metadata before the value; see metadata.go
	sizeMask     = 1<<13 - 1

	// maxBumpBytes is the largest record that shares a chunk. Larger ones are too costly to copy
	// when a shard is split or compacted.
	maxBumpBytes = 4 << 10
)

func (e *entry) live() bool { return e.size != 0 }

func (e *entry) version() uint64 { return uint64(e.versionHigh)<<32 | uint64(e.versionLow) }

func (e *entry) setVersion(v uint64) { e.versionHigh, e.versionLow = uint16(v>>32), uint32(v) }

// page is a run of a shard's entries.
type page struct {
	entries []entry // pageEntries of them, fewer in the first page of a small shard
	base    uint64  // place of the first entry
	// createdLSN is the LSN of the change that began the page: only views with LSNs from that on
	// may read it.
	createdLSN uint64
	marks      *pageMarks // how its entries are used; nil: none was
	oldest     uint64     // no entry without a deadline has a version below it
}

// place returns the place of an entry of the page in the dict's order.
func (p *page) place(e *entry) uint64 { return p.base + uint64(e.order) }

// holds reports whether an entry of the page can have the place.
func (p *page) holds(place uint64) bool { return place-p.base < 1<<32 }

// newEntries returns n zero entries, in a slab block if they fill one.
func (s *Store) newEntries(n int) []entry {
	if n*entryBytes < minSlabBytes {
		return make([]entry, n)
	}
	block := s.slabs.Alloc(n * entryBytes)
	clear(block)
	return unsafe.Slice((*entry)(unsafe.Pointer(unsafe.SliceData(block))), n)
}

// retireEntries frees a page's entries, which newEntries returned, as of change lsn.
func (s *shard) retireEntries(st *Store, lsn uint64, p *page) {
	if n := len(p.entries) * entryBytes; n >= minSlabBytes {
		block := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(p.entries))), n)
		st.retire(retiredBlock{block, s.table, p.createdLSN, lsn})
	}
}
