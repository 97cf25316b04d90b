package persist

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"time"
)

// ID identifies one database: all its files have the same ID. It is random.
type ID [16]byte

// NewID returns a new random ID.
func NewID() (id ID) {
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return id
}

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// On disk: do not change. FORMAT.md, ".cdb files".
//
//	header  0       8  10     12     16           32   40       48        60   64
//	        | magic |ver|flags| zero | database id | LSN | created | zero | CRC |
//	block   0     4    5     6       8       12      16           20        24      28     32       40
//	        | CRC |type|codec| flags | block | table | raw length | length | items | zero | xxh3 | payload
//	footer  0       8              16       20       24      32            40    48         56     60    64
//	        | magic | index offset | blocks | tables | items | file length | LSN | checksum | zero | CRC |
const (
	cdbVersion       = 3 // that is written
	cdbOldest        = 2 // that is read: the first with this form; version 1 was CyberDB's pickle
	cdbHeaderBytes   = 64
	blockHeaderBytes = 40
	cdbFooterBytes   = 64

	maxBlockBytes = 1 << 20 // raw
	// raw: one entry that is split into blocks; larger than two of the largest values
	maxGroupBytes = 160 << 20
	maxNameBytes  = 64 << 10
)

var (
	cdbMagic    = [8]byte{0x89, 'C', 'D', 'B', '\r', '\n', 0x1a, '\n'}
	cdbEndMagic = [8]byte{0x89, 'C', 'D', 'B', 'E', 'N', 'D', '\n'}
)

// blockType is the type of a block.
type blockType uint8

const (
	blockTable    blockType = 1 // begins a table
	blockEntries  blockType = 2 // of a dict
	blockElements blockType = 3 // of a list
	blockIndex    blockType = 4 // locates the tables
	blockHeld     blockType = 5 // held items of a list, before its elements
	blockCounted  blockType = 6 // the first elements of a list, with how often they were delivered
)

// blockMore says that the item continues in the next block.
const blockMore = 1

// Codec is how the payload of a block is compressed. Each block has its own: one that does not get
// smaller is stored raw.
type Codec uint8

// The codecs. On disk: do not change.
const (
	Raw  Codec = 0
	S2   Codec = 1 // fast
	Zstd Codec = 2 // small
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Stamp says which instant of which database a .cdb file holds.
type Stamp struct {
	Database ID
	LSN      uint64    // of the cut: the file holds exactly the operations with LSNs up to this one
	Created  time.Time // time of the cut, to the millisecond
}

func (s Stamp) appendHeader(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, cdbMagic[:]...)
	dst = binary.LittleEndian.AppendUint16(dst, cdbVersion)
	dst = append(dst, make([]byte, 6)...)
	dst = append(dst, s.Database[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, s.LSN)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Created.UnixMilli()))
	dst = append(dst, make([]byte, 12)...)
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[at:]))
}

// parseHeader parses the header of a .cdb file from the file's first bytes. Errors: ErrForeign,
// ErrDamaged, a *VersionError without the file's name.
func parseHeader(b []byte) (s Stamp, version uint16, err error) {
	if n := min(len(b), len(cdbMagic)); string(b[:n]) != string(cdbMagic[:n]) {
		return s, 0, ErrForeign
	}
	if len(b) < cdbHeaderBytes || checksum(b[:60]) != binary.LittleEndian.Uint32(b[60:cdbHeaderBytes]) {
		return s, 0, ErrDamaged
	}
	version = binary.LittleEndian.Uint16(b[8:])
	newer := &VersionError{Kind: ".cdb file", Version: version, Oldest: cdbOldest, Newest: cdbVersion}
	switch {
	case version < cdbOldest, version > cdbVersion:
		return s, version, newer
	case !zero(b[10:16]), !zero(b[48:60]):
		newer.What = "unknown flags or fields in its header"
		return s, version, newer
	}
	copy(s.Database[:], b[16:])
	s.LSN = binary.LittleEndian.Uint64(b[32:])
	s.Created = time.UnixMilli(int64(binary.LittleEndian.Uint64(b[40:])))
	return s, version, nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// blockHeader is the header of a block.
type blockHeader struct {
	typ   blockType
	codec Codec
	flags uint16
	block uint32 // its number in the file
	// table is the number of the block's table; for an index block, of the first table that it
	// lists.
	table  uint32
	raw    uint32 // bytes of the payload, uncompressed
	stored uint32 // bytes of the payload in the file
	items  uint32 // entries, elements or tables; for a split item, counted in its first block
	sum    uint64 // xxh3 of the header, all block headers, and the footer up to this field
}

func (h *blockHeader) more() bool { return h.flags&blockMore != 0 }

func (h *blockHeader) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, byte(h.typ), byte(h.codec))
	dst = binary.LittleEndian.AppendUint16(dst, h.flags)
	for _, v := range [...]uint32{h.block, h.table, h.raw, h.stored, h.items, 0} {
		dst = binary.LittleEndian.AppendUint32(dst, v)
	}
	dst = binary.LittleEndian.AppendUint64(dst, h.sum)
	binary.LittleEndian.PutUint32(dst[at:], checksum(dst[at+4:]))
	return dst
}

// parseBlockHeader parses the header of a block. A what other than "" describes the damage.
func parseBlockHeader(b []byte) (h blockHeader, what string) {
	if len(b) < blockHeaderBytes {
		return h, "the file ends inside a block"
	}
	if checksum(b[4:blockHeaderBytes]) != binary.LittleEndian.Uint32(b) {
		return h, "the block's header does not match its checksum"
	}
	u32 := binary.LittleEndian.Uint32
	h = blockHeader{
		typ: blockType(b[4]), codec: Codec(b[5]), flags: binary.LittleEndian.Uint16(b[6:]),
		block: u32(b[8:]), table: u32(b[12:]), raw: u32(b[16:]), stored: u32(b[20:]), items: u32(b[24:]),
		sum: binary.LittleEndian.Uint64(b[32:]),
	}
	switch {
	case h.typ < blockTable || h.typ > blockCounted, h.codec > Zstd, h.flags > blockMore, !zero(b[28:32]):
		return h, "the block has an unknown type, codec or flag"
	case h.raw > maxBlockBytes, h.stored > h.raw, h.codec == Raw && h.stored != h.raw:
		return h, "the block's lengths are impossible"
	}
	return h, ""
}

// footer is the end of a .cdb file.
type footer struct {
	index  int64 // offset of the first index block
	blocks uint32
	tables uint32
	items  uint64 // entries and elements
	length int64  // of the whole file
	lsn    uint64
	sum    uint64 // xxh3 of the header, all heads of blocks, and the footer before this
}

// appendSummed appends the part of the footer that its own checksum covers.
func (f *footer) appendSummed(dst []byte) []byte {
	dst = append(dst, cdbEndMagic[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.index))
	dst = binary.LittleEndian.AppendUint32(dst, f.blocks)
	dst = binary.LittleEndian.AppendUint32(dst, f.tables)
	dst = binary.LittleEndian.AppendUint64(dst, f.items)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.length))
	return binary.LittleEndian.AppendUint64(dst, f.lsn)
}

func (f *footer) append(dst []byte) []byte {
	at := len(dst)
	dst = f.appendSummed(dst)
	dst = binary.LittleEndian.AppendUint64(dst, f.sum)
	dst = append(dst, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[at:]))
}

// parseFooter parses the last cdbFooterBytes of a file. A what other than "" describes the damage.
func parseFooter(b []byte) (f footer, what string) {
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	switch {
	case len(b) < cdbFooterBytes || [8]byte(b) != cdbEndMagic:
		return f, "the footer is missing: the file is incomplete"
	case checksum(b[:60]) != u32(b[60:]):
		return f, "the footer does not match its checksum"
	case !zero(b[56:60]):
		return f, "the footer has unknown fields"
	}
	return footer{
		index: int64(u64(b[8:])), blocks: u32(b[16:]), tables: u32(b[20:]), items: u64(b[24:]),
		length: int64(u64(b[32:])), lsn: u64(b[40:]), sum: u64(b[48:]),
	}, ""
}
