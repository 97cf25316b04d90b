package persist

import (
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"
)

// Reader reads one .cdb file. It is not safe for concurrent use; Load uses its own goroutines.
type Reader struct {
	// constant after Open
	name    string
	file    File
	head    []byte // the header's bytes
	stamp   Stamp
	version uint16 // of the file's format
	size    int64
	foot    footer
	index   []indexEntry
}

// Open opens a .cdb file and reads its header, footer and index. Load checks the rest.
//
// Errors: ErrForeign; ErrVersion, also of a table with an unknown option; ErrDamaged; those of the
// file system. Each names the file.
func Open(fsys FS, name string) (*Reader, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	r := &Reader{name: name, file: f}
	if err := r.open(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) open() (err error) {
	if r.size, err = r.file.Size(); err != nil {
		return err
	}
	if err := r.readHeader(); err != nil {
		return err
	}
	if err := r.readFooter(); err != nil {
		return err
	}
	return r.readIndex()
}

func (r *Reader) readHeader() error {
	r.head = make([]byte, min(r.size, cdbHeaderBytes))
	if err := r.readAt(r.head, 0); err != nil {
		return err
	}
	var err error
	r.stamp, r.version, err = parseHeader(r.head)
	var version *VersionError
	switch {
	case errors.Is(err, ErrDamaged):
		return r.damage(0, "the file's header is incomplete or does not match its checksum")
	case errors.As(err, &version):
		version.File = r.name
		return version
	case err != nil:
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return nil
}

func (r *Reader) readFooter() error {
	at := r.size - cdbFooterBytes
	if at < cdbHeaderBytes {
		return r.damage(r.size, "the footer is missing: the file is incomplete")
	}
	b := make([]byte, cdbFooterBytes)
	if err := r.readAt(b, at); err != nil {
		return err
	}
	var what string
	if r.foot, what = parseFooter(b); what != "" {
		return r.damage(at, what)
	}
	switch {
	case r.foot.length != r.size:
		return r.damage(
			at,
			fmt.Sprintf("the footer says that the file has %d bytes, but it has %d", r.foot.length, r.size),
		)
	case r.foot.lsn != r.stamp.LSN:
		return r.damage(at, "header and footer have different LSNs")
	case r.foot.index < cdbHeaderBytes || r.foot.index > at:
		return r.damage(at, "the index is outside the file")
	}
	return nil
}

// readIndex reads the blocks from the index's offset to the footer.
func (r *Reader) readIndex() error {
	end := r.size - cdbFooterBytes
	for at := r.foot.index; at < end; {
		h, payload, err := r.readBlock(at, end)
		if err != nil {
			return err
		}
		raw, ok := decompress(nil, payload, h.codec, int(h.raw))
		if h.typ != blockIndex || !ok {
			return r.blockDamage(at, &h, "the index cannot be read")
		}
		entries, ok := parseIndex(raw, r.version, h.items)
		if !ok || int(h.table) != len(r.index) {
			return r.blockDamage(at, &h, "the index cannot be read")
		}
		for i := range entries {
			if e := &entries[i]; e.unknown != "" {
				return r.unknown(e.Name, e.unknown)
			}
		}
		r.index = append(r.index, entries...)
		at += blockHeaderBytes + int64(h.stored)
	}
	if len(r.index) != int(r.foot.tables) {
		return r.damage(
			r.foot.index,
			fmt.Sprintf("the index lists %d tables, the footer counts %d", len(r.index), r.foot.tables),
		)
	}
	return nil
}

func parseIndex(raw []byte, version uint16, items uint32) (entries []indexEntry, ok bool) {
	p := newPayloadParser(raw, version)
	for p.left() > 0 {
		p.unknown = ""
		entries = append(entries, p.indexEntry())
	}
	return entries, !p.bad && len(entries) == int(items)
}

// readBlock reads the block at an offset and checks both checksums, and that it ends before end.
func (r *Reader) readBlock(at, end int64) (h blockHeader, payload []byte, err error) {
	var head [blockHeaderBytes]byte
	n := min(end-at, blockHeaderBytes)
	if err := r.readAt(head[:n], at); err != nil {
		return h, nil, err
	}
	h, what := parseBlockHeader(head[:n])
	switch {
	case what != "":
		return h, nil, r.damage(at, what)
	case int64(h.stored) > end-at-blockHeaderBytes:
		return h, nil, r.blockDamage(at, &h, "the file ends inside the block")
	}
	payload = make([]byte, h.stored)
	if err := r.readAt(payload, at+blockHeaderBytes); err != nil {
		return h, nil, err
	}
	if xxh3.Hash(payload) != h.sum {
		return h, nil, r.blockDamage(at, &h, "the block does not match its checksum")
	}
	return h, payload, nil
}

// readAt fills b from an offset, which must be within the file's size.
func (r *Reader) readAt(b []byte, at int64) error {
	n, err := r.file.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return r.damage(at+int64(n), "the file was truncated while it was read")
	default:
		return fmt.Errorf("%s at byte %d: %w", r.name, at, err)
	}
}

func (r *Reader) damage(at int64, what string) error {
	return &DamageError{File: r.name, Offset: at, Block: -1, What: what}
}

func (r *Reader) blockDamage(at int64, h *blockHeader, what string) error {
	return &DamageError{File: r.name, Offset: at, Table: r.tableName(h), Block: int(h.block), What: what}
}

// unknown returns the error of a table that has what only a newer version knows.
func (r *Reader) unknown(table, what string) error {
	return fmt.Errorf("%s, table %q: %s: %w", r.name, table, what, ErrVersion)
}

// tableName returns the name of a block's table, "" if it is unknown or the block has none.
func (r *Reader) tableName(h *blockHeader) string {
	if h.typ != blockIndex && int(h.table) < len(r.index) {
		return r.index[h.table].Name
	}
	return ""
}

// Name returns the file's name.
func (r *Reader) Name() string { return r.name }

// Info returns what header, footer and index say of the file.
func (r *Reader) Info() FileInfo {
	return FileInfo{r.stamp, r.size, len(r.index), r.foot.items}
}

// Tables returns the tables in order of creation, which is also their order in the file.
func (r *Reader) Tables() []Table {
	tables := make([]Table, len(r.index))
	for i := range r.index {
		tables[i] = r.index[i].Table
	}
	return tables
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

// Loader receives the content of a file, in order, on one goroutine. Load ends with the first error
// that it returns.
type Loader interface {
	Table(t Table) error  // the next table begins
	Block(b *Block) error // some of its items; b is valid until the call returns
}

// Load reads the whole file and passes it to the loader. workers goroutines check and decompress
// blocks ahead. progress, if not nil, is called from time to time with the bytes passed on and the
// file's length.
//
// Errors: ErrDamaged, with table, block and offset; ErrVersion, with the table; those of the file
// system and of the loader.
// After an error the loader has received a part of the file, complete blocks in order. The caller
// must discard what it made of them.
func (r *Reader) Load(workers int, loader Loader, progress func(done, total int64)) error {
	l := load{r: r, loader: loader, progress: progress, sum: xxh3.New()}
	return l.run(max(workers, 1))
}

// Verify reads the whole file and checks everything that can be checked.
func (r *Reader) Verify(workers int, progress func(done, total int64)) error {
	return r.Load(workers, verifier{}, progress)
}

type verifier struct{}

func (verifier) Table(Table) error  { return nil }
func (verifier) Block(*Block) error { return nil }

// indexMatches reports whether the block that begins a table, at an offset, matches the index.
func (r *Reader) indexMatches(h *blockHeader, at int64, t *Table) bool {
	if int(h.table) >= len(r.index) {
		return false
	}
	e := &r.index[h.table]
	return e.offset == at && e.block == h.block && e.Name == t.Name && e.Kind == t.Kind && e.Created == t.Created &&
		e.Version == t.Version && e.Options == t.Options &&
		e.Queue.MaxDeliveries == t.Queue.MaxDeliveries && e.Queue.DeadLetter == t.Queue.DeadLetter
}
