package loop

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"time"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// source is a file whose tables are imported.
type source struct {
	tables int
	items  uint64
	bytes  int64 // read
	load   func(in *importer) error
	close  func() error
}

// openSource opens a .cdb file of cyberdb-fast or of CyberDB; its content tells which. Errors name
// the file.
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
		return srv.openCyberDB(name, file, size)
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
	load := func(in *importer) error {
		in.saved = info.SavedAt(time.UnixMilli(srv.now()))
		return r.Load(runtime.GOMAXPROCS(0), in, nil)
	}
	return &source{tables: info.Tables, items: info.Items, bytes: info.Bytes, load: load, close: r.Close}, nil
}

// openCyberDB reads a file that CyberDB wrote, and closes it.
func (srv *Server) openCyberDB(name string, file persist.File, size int64) (_ *source, err error) {
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
	load := func(in *importer) error {
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

// importer restores tables that are not visible yet, and copies them to a file. Its tables and
// entries get LSNs of this server's clock, in order, so no version here stands for two contents.
// That makes them new, so an entry that lives by its table's default time to live gets a deadline
// of its own.
type importer struct {
	restoring
	tables []*shardmap.Restorer
	names  map[string]bool
	copy   *persist.Writer
	admit  func(bytes int) error // returns an error if so many bytes more must not be imported
	next   uint64                // the LSN of the next table or entry
	end    uint64                // the first LSN after the reserved ones
	from   persist.Table         // the current table in the file
	saved  int64                 // when the file was saved

	items int // of the current batch
}

func newImporter(store *shardmap.Store, log *slog.Logger, first, n uint64, admit func(bytes int) error) *importer {
	in := &importer{names: make(map[string]bool), admit: admit, next: first, end: first + n}
	in.log, in.store = log, store
	in.done = func(r *shardmap.Restorer) error {
		in.tables = append(in.tables, r)
		return nil
	}
	return in
}

// number returns the next LSN.
func (in *importer) number() (uint64, error) {
	if in.next == in.end {
		return 0, errors.New("the file holds more than it says")
	}
	in.next++
	return in.next - 1, nil
}

// Table implements persist.Loader and TableWriter.
func (in *importer) Table(t persist.Table) (err error) {
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
	in.from = t
	t.Version, t.Options.Since, t.Options.Horizon, t.Marks = 0, 0, 0, nil
	if err := in.copy.Table(t); err != nil {
		return err
	}
	return in.restoring.Table(t)
}

// Block implements persist.Loader.
func (in *importer) Block(b *persist.Block) error {
	for h := range b.Held() {
		if err := in.held(h); err != nil {
			return err
		}
	}
	for n, val := range b.Counted() {
		if err := in.counted(n, val); err != nil {
			return err
		}
	}
	for e := range b.Entries() {
		e.Deadline = in.from.DeadlineOf(&e, in.saved)
		if err := in.Entry(e); err != nil {
			return err
		}
	}
	return nil
}

// Entry implements TableWriter.
func (in *importer) Entry(e persist.Entry) (err error) {
	if e.Place, err = in.number(); err != nil {
		return err
	}
	e.Version = e.Place
	if err := in.copy.Entry(e); err != nil {
		return err
	}
	own := shardmap.Entry(e)
	own.Key, own.Val = in.copyIn(e.Key), in.copyIn(e.Val)
	in.entries = append(in.entries, own)
	return in.added()
}

// Element implements TableWriter.
func (in *importer) Element(val []byte) error {
	if _, err := in.number(); err != nil {
		return err
	}
	if err := in.copy.Element(val); err != nil {
		return err
	}
	in.copyIn(val)
	return in.added()
}

// held takes an item that a list holds, which gets a receipt of this server's: the clients that
// took it are another server's.
func (in *importer) held(h persist.HeldItem) (err error) {
	if h.Receipt, err = in.number(); err != nil {
		return err
	}
	if err := in.admit(len(h.Val)); err != nil {
		return err
	}
	if err := in.copy.Held(h); err != nil {
		return err
	}
	return in.table.Held(shardmap.HeldItem(h))
}

// counted is Element for one that was delivered so often.
func (in *importer) counted(deliveries uint32, val []byte) error {
	if deliveries == 0 {
		return in.Element(val)
	}
	if _, err := in.number(); err != nil {
		return err
	}
	if err := errors.Join(in.flush(), in.admit(len(val)), in.copy.Counted(deliveries, val)); err != nil {
		return err
	}
	return in.table.Counted(deliveries, val)
}

// copyIn copies b to the current batch.
func (in *importer) copyIn(b []byte) []byte {
	from := len(in.packed)
	in.packed = append(in.packed, b...)
	return in.packed[from:len(in.packed):len(in.packed)]
}

func (in *importer) added() error {
	if in.items++; in.items < batchItems && len(in.packed) < batchBytes {
		return nil
	}
	return in.flush()
}

// flush restores the current batch.
func (in *importer) flush() (err error) {
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

// finish completes the last table.
func (in *importer) finish() error {
	if err := in.flush(); err != nil {
		return err
	}
	return in.restoring.finish()
}

// discard frees what was restored.
func (in *importer) discard() {
	if in.table != nil {
		in.table.Discard()
	}
	for _, r := range in.tables {
		r.Discard()
	}
}
