package persist

import (
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"
)

// Loss is a part of a damaged file that could not be read.
type Loss struct {
	Offset int64  // in bytes
	Bytes  int64  // up to the next part that could be read
	Table  string // "" if unknown
	Items  int    // in the part, -1 if unknown
	What   string
}

// String describes the loss in one line.
func (l Loss) String() string {
	s := fmt.Sprintf("%d bytes at byte %d", l.Bytes, l.Offset)
	if l.Table != "" {
		s += fmt.Sprintf(" of table %q", l.Table)
	}
	if l.Items >= 0 {
		s += fmt.Sprintf(" with %d items", l.Items)
	}
	return s + ": " + l.What
}

// Salvaged is the result of Salvage.
type Salvaged struct {
	FileInfo        // of the new file
	Lost     []Loss // in the order of the file
}

// Salvage writes everything that can be read of a damaged .cdb file to the new file out. A table
// whose name is lost is named "salvaged-" and its number. The new file has the old one's database
// and LSN if they can be read. Without a header, the file's version is the only one that fits all
// blocks; if two fit, the entries of dicts are lost.
//
// Errors: ErrForeign if no part of the file is recognized; ErrVersion; an error if out exists;
// those of the file system.
func Salvage(fsys FS, name, out string) (*Salvaged, error) {
	if there, err := exists(fsys, out); err != nil || there {
		if err == nil {
			err = fmt.Errorf("%s exists: salvage only writes a new file; choose another name", out)
		}
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	s := &salvage{r: &Reader{name: name, file: f}, result: &Salvaged{}}
	if s.r.size, err = f.Size(); err != nil {
		return nil, err
	}
	if err := s.scan(); err != nil {
		return nil, err
	}
	s.result.FileInfo, err = WriteFile(fsys, out, s.r.stamp, S2, s.fill)
	return s.result, err
}

// salvage is one Salvage: scan finds the blocks, fill reads them.
type salvage struct {
	r      *Reader
	blocks []foundBlock
	names  map[uint32]Table // by number, from the index
	result *Salvaged
	// what only a newer version knows of a table, by the table's number
	unknown map[uint32]string
	// elements of the present table were written, so that no held items may follow
	elements bool
}

type foundBlock struct {
	at int64
	blockHeader
}

func (f *foundBlock) end() int64 { return f.at + blockHeaderBytes + int64(f.stored) }

// scan finds all block headers in the file and reads what is left of the index.
func (s *salvage) scan() error {
	s.names, s.unknown = make(map[uint32]Table), make(map[uint32]string)
	headless := s.readStamp()
	if errors.Is(headless, ErrVersion) {
		return headless
	}
	window := make([]byte, 0, scanBytes)
	start := int64(0) // of the window
	next := uint32(0)
	for at := int64(cdbHeaderBytes); at+blockHeaderBytes <= s.r.size; {
		if at < start || at+blockHeaderBytes > start+int64(len(window)) {
			start = at
			window = window[:min(s.r.size-at, scanBytes)]
			if err := s.r.readAt(window, at); err != nil {
				return err
			}
		}
		h, what := parseBlockHeader(window[at-start:])
		if what != "" || h.block < next || at+blockHeaderBytes+int64(h.stored) > s.r.size {
			at++
			continue
		}
		found := foundBlock{at, h}
		s.blocks = append(s.blocks, found)
		next = h.block + 1
		at = found.end()
	}
	if headless != nil && len(s.blocks) == 0 {
		return headless
	}
	if headless != nil {
		s.decideVersion()
	}
	for i := range s.blocks {
		if s.blocks[i].typ == blockIndex {
			s.index(&s.blocks[i])
		}
	}
	return nil
}

// scanBytes is the size of scan's window.
const scanBytes = 1 << 20

// readStamp reads database and LSN from the header. It returns an error if the header is not that
// of a .cdb file.
func (s *salvage) readStamp() error {
	err := s.r.readHeader()
	if err == nil {
		return nil
	}
	if at := s.r.size - cdbFooterBytes; at >= 0 {
		b := make([]byte, cdbFooterBytes)
		if s.r.readAt(b, at) == nil {
			if foot, what := parseFooter(b); what == "" {
				s.r.stamp.LSN = foot.lsn
			}
		}
	}
	return err
}

func (s *salvage) index(f *foundBlock) {
	raw, ok := s.payload(f)
	if !ok {
		return
	}
	entries, ok := parseIndex(raw, s.r.version, f.items)
	if !ok {
		return
	}
	for i := range entries {
		table := f.table + uint32(i)
		s.names[table] = entries[i].Table
		if entries[i].unknown != "" {
			s.unknown[table] = entries[i].unknown
		}
	}
}

// decideVersion finds the version of a file whose header is lost: the only one in which all intact
// blocks can be parsed. It stays 0 if there is no such version, or if there are two.
func (s *salvage) decideVersion() {
	var fit []uint16
	for v := uint16(cdbOldest); v <= cdbVersion; v++ {
		if s.fits(v) {
			fit = append(fit, v)
		}
	}
	what := "the version is unknown"
	if len(fit) == 1 {
		s.r.version = fit[0]
		what = fmt.Sprintf("the blocks are those of version %d", s.r.version)
	}
	what = "the file's header; the new file has no database id; " + what
	s.lost(0, min(cdbHeaderBytes, s.r.size), "", -1, what)
}

// fits reports whether all intact blocks can be parsed in a version of the format.
func (s *salvage) fits(version uint16) bool {
	for i := 0; i < len(s.blocks); {
		f := &s.blocks[i]
		raw, used, what := s.group(i)
		i += used
		if what != "" {
			continue
		}
		ok := true
		switch f.typ {
		case blockTable:
			_, _, ok = parseTable(raw, version)
		case blockIndex:
			_, ok = parseIndex(raw, version, f.items)
		case blockEntries:
			b := Block{typ: f.typ, version: version, items: int(f.items), raw: raw}
			ok, _ = b.wellFormed()
		}
		if !ok {
			return false
		}
	}
	return true
}

// payload reads a block if it is intact.
func (s *salvage) payload(f *foundBlock) (raw []byte, ok bool) {
	stored := make([]byte, f.stored)
	if s.r.readAt(stored, f.at+blockHeaderBytes) != nil || xxh3.Hash(stored) != f.sum {
		return nil, false
	}
	return decompress(nil, stored, f.codec, int(f.raw))
}

func (s *salvage) lost(at, n int64, table string, items int, what string) {
	s.result.Lost = append(s.result.Lost, Loss{at, n, table, items, what})
}

// fill writes what can be read, and records what cannot.
func (s *salvage) fill(w *Writer) error {
	end := int64(cdbHeaderBytes)
	table := int64(-1) // the current table
	for i := 0; i < len(s.blocks); {
		first := &s.blocks[i]
		if first.at > end {
			s.lost(end, first.at-end, "", -1, "no block is recognizable")
		}
		raw, used, what := s.group(i)
		last := &s.blocks[i+used-1]
		end = last.end()
		i += used
		if first.typ == blockIndex {
			if what != "" {
				s.lost(first.at, end-first.at, "", -1, "a part of the index: "+what)
			}
			continue
		}
		if what == "" {
			what = s.write(w, first, raw, &table)
		}
		if what != "" {
			s.lost(first.at, end-first.at, s.names[first.table].Name, s.itemsOf(first), what)
		}
		if w.err != nil {
			return w.err
		}
	}
	if tail := s.r.size - end; tail != cdbFooterBytes {
		s.lost(end, tail, "", -1, "the end of the file")
	} else if s.r.readFooter() != nil {
		s.lost(end, tail, "", -1, "the footer")
	}
	return nil
}

func (s *salvage) itemsOf(f *foundBlock) int {
	if f.typ == blockTable {
		return 0
	}
	return int(f.items)
}

// group reads block i and those in which its item continues; used is their number.
func (s *salvage) group(i int) (raw []byte, used int, what string) {
	for n := uint32(0); ; n++ {
		f := &s.blocks[i+used]
		used++
		part, ok := s.payload(f)
		if !ok {
			what = "a block does not match its checksum"
		}
		raw = append(raw, part...)
		if !f.more() {
			return raw, used, what
		}
		follows := i+used < len(s.blocks)
		if follows {
			g := &s.blocks[i+used]
			follows = g.block == f.block+1 && g.table == f.table && g.typ == f.typ && g.items == 0 &&
				len(raw)+int(g.raw) <= maxGroupBytes
		}
		if !follows {
			return nil, used, "the rest of a large item is missing"
		}
	}
}

// write passes one group to the Writer. It returns what is wrong with the group.
func (s *salvage) write(w *Writer, f *foundBlock, raw []byte, table *int64) string {
	if f.typ == blockTable {
		t, unknown, ok := parseTable(raw, s.r.version)
		if !ok {
			return "the table's name cannot be read"
		}
		if unknown != "" {
			s.unknown[f.table] = unknown
			return unknown
		}
		*table, s.elements = int64(f.table), false
		_ = w.Table(t) // the Writer keeps its error
		return ""
	}
	b := Block{typ: f.typ, version: s.r.version, items: int(f.items), raw: raw}
	ok, unknown := b.wellFormed()
	switch {
	case s.unknown[f.table] != "":
		return "the table has an " + s.unknown[f.table]
	case b.typ == blockEntries && b.version == 0:
		return "the header is lost, and the entries do not show in which version they are"
	case !ok:
		return "the items cannot be parsed"
	case unknown != "":
		return unknown
	}
	if *table != int64(f.table) { // the table's first block is lost
		t, ok := s.names[f.table]
		if !ok || t.Kind.items() != f.kind() {
			t = Table{Name: fmt.Sprintf("salvaged-%d", f.table), Kind: f.kind()}
		}
		*table, s.elements = int64(f.table), false
		_ = w.Table(t)
	}
	for e := range b.Entries() {
		_ = w.Entry(e)
	}
	if b.HeldLen() > 0 && s.elements {
		return "held items after elements"
	}
	s.elements = b.HeldLen() == 0
	for h := range b.Held() {
		_ = w.Held(h)
	}
	for n, e := range b.Counted() {
		_ = w.Counted(n, e)
	}
	return ""
}
