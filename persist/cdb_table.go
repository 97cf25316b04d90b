package persist

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Kind is the kind of a table. On disk: do not change.
type Kind uint8

// The kinds.
const (
	Dict  Kind = 1
	List  Kind = 2
	Locks Kind = 3 // its items are entries, like those of a dict
)

func (k Kind) String() string {
	switch k {
	case Dict:
		return "dict"
	case List:
		return "list"
	case Locks:
		return "locks"
	}
	return "table of unknown kind"
}

// items returns the kind of the blocks that a table has.
func (k Kind) items() Kind {
	if k == Locks {
		return Dict
	}
	return k
}

// Table describes a table of a .cdb file.
type Table struct {
	Name    string
	Kind    Kind
	Created uint64 // LSN of its creation; tables are in this order
	Version uint64 // LSN of a list's last change; 0 for a dict
	Items   uint64 // entries of a dict, held items and elements of a list; a Writer counts them itself
	Options TableOptions
	Queue   Queue // what a list has as a queue
	// Marks say when versions of a dict with a default time to live were assigned. They ascend.
	// Reader.Tables does not have them.
	Marks []Mark
}

// Entry is one entry of a dict. The bytes of an entry that is read are valid until the next step.
type Entry struct {
	Key, Val []byte
	Version  uint64 // LSN of the last change
	Place    uint64 // LSN of the insertion: entries are in this order
	Deadline int64  // in milliseconds since 1970 UTC, below 2^48; 0: as the table says; Forever
}

// Forever is the deadline of an entry that never expires, whatever its table's default is.
const Forever = -1

// appendTable appends the payload of a table's first block.
func appendTable(dst []byte, t *Table) []byte {
	dst = append(dst, byte(t.Kind))
	dst = appendBytes(dst, t.Name)
	dst = binary.AppendUvarint(dst, t.Created)
	dst = binary.AppendUvarint(dst, t.Version)
	return appendBytes(dst, appendQueue(appendMarks(appendOptions(nil, &t.Options), t.Marks), &t.Queue))
}

func (p *payloadParser) table() (t Table) {
	if p.left() > 0 {
		t.Kind = Kind(p.b[0])
		p.b = p.b[1:]
	}
	if t.Kind < Dict || t.Kind > Locks {
		p.bad = true
	}
	t.Name = string(p.bytes(maxNameBytes))
	t.Created, t.Version = p.uvarint(), p.uvarint()
	if p.version >= 3 {
		p.options(&t)
	}
	return t
}

// parseTable parses the payload of a table's first block. An unknown other than "" describes what
// only a newer version knows of the table.
func parseTable(raw []byte, version uint16) (t Table, unknown string, ok bool) {
	p := newPayloadParser(raw, version)
	t = p.table()
	return t, p.unknown, !p.bad && p.left() == 0
}

// indexEntry locates a table.
type indexEntry struct {
	Table
	offset int64  // of its first block
	block  uint32 // the number of its first block
	blocks uint32 // the number of its blocks

	unknown string // what only a newer version knows of the table; "": nothing
}

func appendIndexEntry(dst []byte, e *indexEntry) []byte {
	dst = appendTable(dst, &e.Table)
	dst = binary.AppendUvarint(dst, uint64(e.offset))
	dst = binary.AppendUvarint(dst, uint64(e.block))
	dst = binary.AppendUvarint(dst, uint64(e.blocks))
	return binary.AppendUvarint(dst, e.Items)
}

func (p *payloadParser) indexEntry() (e indexEntry) {
	e.Table = p.table()
	e.unknown = p.unknown
	e.offset = int64(p.uvarint() & (1<<63 - 1))
	e.block, e.blocks = uint32(p.uvarint()), uint32(p.uvarint())
	e.Items = p.uvarint()
	return e
}

// The metadata of an entry: flags, of which one is set, then its field. On disk: do not change.
const (
	metadataDeadline      = 1     // flag: a deadline follows, 48 bits
	metadataForever       = 2     // flag: the entry never expires
	deadlineMetadataBytes = 1 + 6 // of metadata with a deadline alone
	maxDeadline           = 1<<48 - 1
)

// appendEntry appends one entry: its place as the difference from the place before, its version as
// the difference from the place.
func appendEntry(dst []byte, before uint64, e *Entry) []byte {
	dst = binary.AppendVarint(dst, int64(e.Place-before))
	dst = binary.AppendVarint(dst, int64(e.Version-e.Place))
	if e.Deadline == 0 {
		dst = binary.AppendUvarint(dst, uint64(len(e.Key))<<1)
		dst = append(dst, e.Key...)
		return appendBytes(dst, e.Val)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Key))<<1|1)
	dst = append(dst, e.Key...)
	if e.Deadline == Forever {
		return appendBytes(append(dst, 1, metadataForever), e.Val)
	}
	dst = append(dst, deadlineMetadataBytes, metadataDeadline)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(e.Deadline))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(e.Deadline>>32))
	return appendBytes(dst, e.Val)
}

func (p *payloadParser) entry(before uint64) (e Entry) {
	e.Place = before + uint64(p.varint())
	e.Version = e.Place + uint64(p.varint())
	if p.version < 3 {
		e.Key = p.bytes(maxGroupBytes)
	} else {
		n := p.uvarint()
		e.Key = p.take(n>>1, maxGroupBytes)
		if n&1 != 0 {
			e.Deadline = p.metadata()
		}
	}
	e.Val = p.bytes(maxGroupBytes)
	return e
}

// metadata reads the metadata of an entry, which an entry without any does not have.
func (p *payloadParser) metadata() (deadline int64) {
	b := p.bytes(maxGroupBytes)
	switch {
	case len(b) > 0 && b[0]&^(metadataDeadline|metadataForever) != 0:
		p.unknown = fmt.Sprintf("unknown metadata flags %#02x", b[0]&^(metadataDeadline|metadataForever))
		return 0
	case len(b) == 1 && b[0] == metadataForever:
		return Forever
	case len(b) == deadlineMetadataBytes && b[0] == metadataDeadline:
		deadline = int64(binary.LittleEndian.Uint32(b[1:])) | int64(binary.LittleEndian.Uint16(b[5:]))<<32
	}
	if deadline == 0 {
		p.b, p.bad = nil, true
	}
	return deadline
}

func appendBytes[T []byte | string](dst []byte, b T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// parser reads values from the front of b. After the first error bad is true and all values are
// zero.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) left() int { return len(p.b) }

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	return advance(p, v, n)
}

func (p *parser) varint() int64 {
	v, n := binary.Varint(p.b)
	return advance(p, v, n)
}

func advance[T uint64 | int64](p *parser, v T, n int) T {
	if n <= 0 || p.bad {
		p.b, p.bad = nil, true
		return 0
	}
	p.b = p.b[n:]
	return v
}

// bytes reads a length, of limit at most, and as many bytes.
func (p *parser) bytes(limit uint64) []byte { return p.take(p.uvarint(), limit) }

// take reads n bytes, of which there may be limit at most.
func (p *parser) take(n, limit uint64) []byte {
	if n > limit || n > uint64(len(p.b)) {
		p.b, p.bad = nil, true
		return nil
	}
	b := p.b[:n:n]
	p.b = p.b[n:]
	return b
}

// payloadParser reads the payload of a block of a .cdb file.
type payloadParser struct {
	parser
	version uint16 // of the file
	unknown string // describes something that only a newer version knows; "": there is nothing
}

func newPayloadParser(b []byte, version uint16) payloadParser {
	return payloadParser{parser: parser{b: b}, version: version}
}

// Block is a part of a table: some of its entries, of its held items or of its elements, in order.
type Block struct {
	typ     blockType
	version uint16 // of the file
	items   int
	raw     []byte
}

// Len returns how many entries, held items or elements the block has.
func (b *Block) Len() int { return b.items }

// Entries yields the entries of a block; of another block, nothing.
func (b *Block) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		if b.typ != blockEntries {
			return
		}
		p := newPayloadParser(b.raw, b.version)
		var before uint64
		for p.left() > 0 {
			e := p.entry(before)
			if p.bad || !yield(e) {
				return
			}
			before = e.Place
		}
	}
}

// wellFormed reports whether the block can be parsed into the right number of items. An unknown
// other than "" describes what only a newer version knows.
func (b *Block) wellFormed() (ok bool, unknown string) {
	p := newPayloadParser(b.raw, b.version)
	n, receipt := 0, uint64(0)
	for ; p.left() > 0; n++ {
		switch b.typ {
		case blockEntries:
			p.entry(0)
		case blockHeld:
			receipt = p.held(receipt).Receipt
		case blockCounted:
			p.counted()
		default:
			p.bytes(maxGroupBytes)
		}
	}
	return !p.bad && n == b.items, p.unknown
}
