package persist

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/zeebo/xxh3"
)

const (
	blockTargetBytes = 256 << 10 // raw: a block is closed once it has this many bytes
	syncEveryBytes   = 16 << 20  // written data that may wait for a sync
)

// Writer writes one .cdb file: table after table, each with its items in order. It holds one block
// in memory, or one entry if that is larger, and about 100 bytes per table.
//
// After an error, all later calls return the same error.
type Writer struct {
	out   io.Writer
	stamp Stamp
	codec Codec
	sum   *xxh3.Hasher
	foot  footer
	index []indexEntry
	err   error

	// of the current block
	raw    []byte
	typ    blockType // of the items in raw
	items  uint32
	before uint64 // place of the entry before, or receipt of the held item before

	stored, head []byte
}

// NewWriter begins a file for the instant that stamp describes.
func NewWriter(w io.Writer, stamp Stamp, codec Codec) *Writer {
	f := &Writer{out: w, stamp: stamp, codec: codec, sum: xxh3.New(), foot: footer{lsn: stamp.LSN}}
	f.head = stamp.appendHeader(nil)
	f.write(f.head)
	_, _ = f.sum.Write(f.head) // never fails
	return f
}

// Table begins the next table. It ignores the numbers of items in t.
func (f *Writer) Table(t Table) error {
	if f.err == nil && len(t.Name) > maxNameBytes {
		f.err = fmt.Errorf("the name of a table has %d bytes, more than %d", len(t.Name), maxNameBytes)
	}
	if f.err == nil && (t.Kind < Dict || t.Kind > Locks) {
		f.err = fmt.Errorf("table %q has the unknown kind %d", t.Name, t.Kind)
	}
	if f.err == nil {
		f.err = t.check()
	}
	f.flush()
	if f.err != nil {
		return f.err
	}
	t.Items, t.Queue.Held, t.Queue.Counted = 0, 0, 0
	f.index = append(f.index, indexEntry{Table: t, offset: f.foot.length, block: f.foot.blocks})
	f.foot.tables++
	f.raw = appendTable(f.raw, &t)
	f.index[len(f.index)-1].Marks = nil // the table's block has them
	f.emit(blockTable, f.foot.tables-1)
	return f.err
}

// Entry appends an entry to the current dict. It copies e.
func (f *Writer) Entry(e Entry) error {
	if f.err == nil && (e.Deadline < Forever || e.Deadline > maxDeadline) {
		f.err = fmt.Errorf(
			"an entry has the deadline %d, which is not between %d and %d",
			e.Deadline,
			Forever,
			int64(maxDeadline),
		)
	}
	f.room(blockEntries, len(e.Key)+len(e.Val))
	f.raw = appendEntry(f.raw, f.before, &e)
	f.before = e.Place
	return f.item(Dict)
}

// Element appends an element to the current list. It copies val.
func (f *Writer) Element(val []byte) error {
	f.room(blockElements, len(val))
	f.raw = appendBytes(f.raw, val)
	return f.item(List)
}

// room closes the current block if an item of n bytes would make it too large, or belongs into a
// block of another type.
func (f *Writer) room(typ blockType, n int) {
	if len(f.raw)+n > blockTargetBytes || typ != f.typ {
		f.flush()
		f.typ = typ
	}
}

func (f *Writer) item(kind Kind) error {
	if f.err != nil {
		return f.err
	}
	if len(f.index) == 0 || f.index[len(f.index)-1].Kind.items() != kind {
		f.err = fmt.Errorf("an item of a %v outside a table of this kind", kind)
		return f.err
	}
	f.items++
	f.foot.items++
	f.index[len(f.index)-1].Items++
	if len(f.raw) >= blockTargetBytes {
		f.flush()
	}
	return f.err
}

// flush writes the current items, if there are any.
func (f *Writer) flush() {
	if len(f.raw) == 0 || f.err != nil {
		return
	}
	f.emit(f.typ, f.foot.tables-1)
}

// emit writes the current items as one block, or as several if they are too large for one.
func (f *Writer) emit(typ blockType, table uint32) {
	if len(f.raw) > maxGroupBytes && f.err == nil {
		f.err = fmt.Errorf("an item of %d bytes, more than %d", len(f.raw), maxGroupBytes)
	}
	for raw := f.raw; f.err == nil; {
		part := raw[:min(len(raw), maxBlockBytes)]
		raw = raw[len(part):]
		f.block(typ, table, part, len(raw) > 0)
		f.items = 0
		if len(raw) == 0 {
			break
		}
	}
	if cap(f.raw) > maxBlockBytes { // grown by one large entry: free it
		f.raw = nil
	}
	f.raw, f.items, f.before, f.typ = f.raw[:0], 0, 0, 0
}

func (f *Writer) block(typ blockType, table uint32, raw []byte, more bool) {
	if f.foot.blocks == math.MaxUint32 {
		f.err = errors.New("more blocks than a .cdb file can have")
		return
	}
	stored, codec := compress(f.stored, raw, f.codec)
	if codec != Raw {
		f.stored = stored
	}
	h := blockHeader{
		typ: typ, codec: codec, block: f.foot.blocks, table: table,
		raw: uint32(len(raw)), stored: uint32(len(stored)), items: f.items, sum: xxh3.Hash(stored),
	}
	if more {
		h.flags = blockMore
	}
	if typ != blockIndex {
		f.index[table].blocks++
	}
	f.head = h.append(f.head[:0])
	_, _ = f.sum.Write(f.head) // never fails
	f.foot.blocks++
	f.write(f.head)
	f.write(stored)
}

func (f *Writer) write(b []byte) {
	if f.err != nil {
		return
	}
	n, err := f.out.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	f.err = err
	f.foot.length += int64(len(b))
}

// Close writes the index and the footer. Without it the file is incomplete.
func (f *Writer) Close() error {
	f.flush()
	f.foot.index = f.foot.length
	for i := range f.index {
		f.raw = appendIndexEntry(f.raw, &f.index[i])
		f.items++
		if len(f.raw) > maxBlockBytes-2*maxNameBytes || i == len(f.index)-1 {
			f.emit(blockIndex, uint32(i+1)-f.items)
		}
	}
	foot := f.foot
	foot.length += cdbFooterBytes
	_, _ = f.sum.Write(foot.appendSummed(nil)) // never fails
	foot.sum = f.sum.Sum64()
	f.write(foot.append(nil))
	return f.err
}

// FileInfo describes a .cdb file.
type FileInfo struct {
	Stamp
	Bytes  int64
	Tables int
	Items  uint64
}
