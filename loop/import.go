package loop

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// source is a file whose tables are to be taken in.
type source struct {
	tables int
	items  uint64
	bytes  int64 // read
	load   func(in *takingIn) error
	close  func() error
}

// openSource opens a file of this server's, or one that CyberDB wrote; its content tells which.
// Errors name the file.
func (srv *Server) openSource(name string) (*source, error) {
	file, err := srv.cfg.Data.FS.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := file.Size()
	head := make([]byte, min(size, 16))
	if err == nil {
		_, err = file.ReadAt(head, 0)
	}
	if err == nil && legacy.IsFile(head) {
		return srv.openOld(name, file, size)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	r, err := persist.Open(srv.cfg.Data.FS, name)
	if errors.Is(err, persist.ErrForeign) {
		err = fmt.Errorf("%w: neither cyberdb-fast nor CyberDB wrote it", err)
	}
	if err != nil {
		return nil, err
	}
	info := r.Info()
	load := func(in *takingIn) error { return r.Load(runtime.GOMAXPROCS(0), in, nil) }
	return &source{tables: info.Tables, items: info.Items, bytes: info.Bytes, load: load, close: r.Close}, nil
}

// openOld reads a file that CyberDB wrote, and closes it.
func (srv *Server) openOld(name string, file persist.File, size int64) (_ *source, err error) {
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := srv.memory.admit(int(size)); err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	classes := legacy.RefuseClasses
	if srv.cfg.LegacyOpaque {
		classes = legacy.KeepOpaque
	}
	old, err := legacy.ParseFile(b, classes)
	if err != nil {
		return nil, fmt.Errorf("%s, a file of CyberDB's: %w", name, err)
	}
	load := func(in *takingIn) error {
		if err := WriteOld(in, old, func() {}); err != nil {
			return fmt.Errorf("%s, a file of CyberDB's: %w", name, err)
		}
		return nil
	}
	return &source{
		tables: len(old.Tables),
		items:  OldItems(old),
		bytes:  size + int64(old.Bytes),
		load:   load,
		close:  func() error { return nil },
	}, nil
}

const (
	batchBytes = 256 << 10
	batchItems = 16 << 10
)

// takingIn restores tables that nobody sees yet, and copies them to a file. Its tables and entries
// get numbers of this server's clock, in order: what a version says of an entry here, it says of no
// other content.
type takingIn struct {
	restoring
	tables []*shardmap.Restorer
	names  map[string]bool
	copy   *persist.Writer
	admit  func(bytes int) error // returns an error if so much more is not to be taken in
	next   uint64                // the number of the next table or entry
	end    uint64                // and the first that is not theirs

	items int // of the batch at hand
}

func newTakingIn(store *shardmap.Store, log *slog.Logger, first, n uint64, admit func(bytes int) error) *takingIn {
	in := &takingIn{names: make(map[string]bool), admit: admit, next: first, end: first + n}
	in.log, in.store = log, store
	in.done = func(r *shardmap.Restorer) error {
		in.tables = append(in.tables, r)
		return nil
	}
	return in
}

// number returns the next number.
func (in *takingIn) number() (uint64, error) {
	if in.next == in.end {
		return 0, errors.New("the file holds more than it says")
	}
	in.next++
	return in.next - 1, nil
}

// Table implements persist.Loader and TableWriter.
func (in *takingIn) Table(t persist.Table) (err error) {
	if in.names[t.Name] {
		return fmt.Errorf("the file holds two tables of the name %q", t.Name)
	}
	in.names[t.Name] = true
	if err := in.flush(); err != nil {
		return err
	}
	if t.Created, err = in.number(); err != nil {
		return err
	}
	t.Version = 0
	if err := in.copy.Table(t); err != nil {
		return err
	}
	return in.restoring.Table(t)
}

// Block implements persist.Loader.
func (in *takingIn) Block(b *persist.Block) error {
	if in.kind == persist.List {
		for val := range b.Elements() {
			if err := in.Element(val); err != nil {
				return err
			}
		}
		return nil
	}
	for e := range b.Entries() {
		if err := in.Entry(e); err != nil {
			return err
		}
	}
	return nil
}

// Entry implements TableWriter.
func (in *takingIn) Entry(e persist.Entry) (err error) {
	if e.Place, err = in.number(); err != nil {
		return err
	}
	e.Version = e.Place
	if err := in.copy.Entry(e); err != nil {
		return err
	}
	own := shardmap.Entry(e)
	own.Key, own.Val = in.keep(e.Key), in.keep(e.Val)
	in.entries = append(in.entries, own)
	return in.added()
}

// Element implements TableWriter.
func (in *takingIn) Element(val []byte) error {
	if _, err := in.number(); err != nil {
		return err
	}
	if err := in.copy.Element(val); err != nil {
		return err
	}
	in.keep(val)
	return in.added()
}

// keep copies b to the batch at hand.
func (in *takingIn) keep(b []byte) []byte {
	from := len(in.packed)
	in.packed = append(in.packed, b...)
	return in.packed[from:len(in.packed):len(in.packed)]
}

func (in *takingIn) added() error {
	if in.items++; in.items < batchItems && len(in.packed) < batchBytes {
		return nil
	}
	return in.flush()
}

// flush restores the batch at hand.
func (in *takingIn) flush() (err error) {
	if in.items == 0 {
		return nil
	}
	if err := in.admit(len(in.packed)); err != nil {
		return err
	}
	if in.kind == persist.List {
		err = in.table.Elements(in.packed, in.items)
	} else {
		err = in.table.Entries(in.entries)
	}
	in.items, in.packed, in.entries = 0, in.packed[:0], in.entries[:0]
	return err
}

// finish ends the last table.
func (in *takingIn) finish() error {
	if err := in.flush(); err != nil {
		return err
	}
	return in.restoring.finish()
}

// discard frees what was restored.
func (in *takingIn) discard() {
	if in.table != nil {
		in.table.Discard()
	}
	for _, r := range in.tables {
		r.Discard()
	}
}
