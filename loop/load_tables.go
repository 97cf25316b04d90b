package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cyberdb-fast/loop/engine"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

const (
	// loadAhead is how far the clock may advance, beyond one LSN for each byte that is read, while
	// a file is loaded: the LSN of its tables is chosen when the load begins.
	loadAhead = 1 << 26
	// loadSuffix is the suffix of the copy that is written during a load, and takes the data file's
	// name at the end.
	loadSuffix = ".load"
)

// load imports the tables of a file while the server runs: all at one moment or none, and on disk
// before they are visible. With replace they replace all tables of the store; without it the store
// must be empty.
//
// A copy of the file takes the data file's name. It is of this database and of an LSN that the
// clock has not reached. From then on a start finds the new tables, and skips what the journal has
// up to that LSN, which belongs to the old tables until they are exchanged. After a crash before
// that, a start finds the old ones.
func (s *saver) load(name string, replace bool) (info persist.FileInfo, err error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	if err := s.loadable(replace); err != nil {
		return info, err
	}
	s.removeAbandoned()
	from, err := s.srv.openSource(name)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	log := s.srv.engine.TakeLog()
	defer s.srv.engine.PutLog(log)
	l := loading{
		saver: s,
		call: &shardmap.Call{
			Log: log, MayBlock: true, Request: []byte(engine.LoadMark), Time: s.srv.time.now(),
		},
		part: s.srv.cfg.Data.File + loadSuffix,
	}
	if info, err = l.take(from, replace); err != nil {
		return info, l.undo(err)
	}
	s.loaded(name, info)
	return info, nil
}

// loadable returns an error if tables cannot be imported.
func (s *saver) loadable(replace bool) error {
	if n := s.srv.store.Len(); n > 0 && !replace {
		return fmt.Errorf(
			`the server has %d tables: a file is loaded into an empty server only, unless the request says `+
				`"replace":true, `+
				"which replaces all of them by the file's",
			n,
		)
	}
	return s.srv.writable()
}

// loading is one load.
type loading struct {
	*saver
	call *shardmap.Call
	part string // the copy of the file

	in       *importer
	at       uint64 // the LSN of the tables
	written  bool   // the copy is complete
	renaming bool   // the data file may already be the copy
}

// take imports the tables. A panic in it becomes an error.
func (l *loading) take(from *source, replace bool) (info persist.FileInfo, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = l.srv.reportPanic("panic while a file was loaded", p, l.call)
			l.in = nil // its tables may be the store's already: none is discarded
		}
	}()
	if info, err = l.prepare(from); err == nil {
		err = l.exchange(replace)
	}
	l.srv.reportPersistPanic("panic while a file was loaded", err)
	return info, err
}

// prepare restores the tables outside the store, and writes the copy.
func (l *loading) prepare(from *source) (persist.FileInfo, error) {
	store := l.srv.store
	n := from.items + uint64(from.tables)
	if left := shardmap.MaxLSN - store.Clock(); n > left || left-n < uint64(from.bytes)+2*loadAhead {
		return persist.FileInfo{}, fmt.Errorf(
			"the file holds %d items, and the clock, which is at %d, leaves no room for so many",
			n,
			store.Clock(),
		)
	}
	if err := l.srv.numbers.Reserve(store.Clock() + n + uint64(from.bytes) + 2*loadAhead); err != nil {
		return persist.FileInfo{}, err
	}
	l.in = newImporter(store, l.srv.log, store.Reserve(l.call, n), n, l.admit)
	l.at = store.Clock() + uint64(from.bytes) + loadAhead
	fsys := l.srv.cfg.Data.FS
	stamp := persist.Stamp{Database: l.database, LSN: l.at, Created: time.UnixMilli(l.call.Time)}
	info, err := persist.WriteFile(fsys, l.part, stamp, persist.S2, func(w *persist.Writer) error {
		l.in.copy = w
		return errors.Join(from.load(l.in), l.in.finish())
	})
	l.written = err == nil
	return info, err
}

// admit returns an error if the load must not import so many bytes more.
func (l *loading) admit(bytes int) error {
	if l.srv.hurry.isAsked() {
		return errCutShort
	}
	if err := l.srv.memory.admit(bytes); err != nil {
		return fmt.Errorf("%w; loading needs memory for the file's tables and for the present ones together", err)
	}
	return nil
}

// exchange makes the tables durable, and then puts them into the store. The old ones are served
// meanwhile.
func (l *loading) exchange(replace bool) error {
	store := l.srv.store
	if !replace {
		err := store.Adopt(l.call, l.in.tables, l.at, l.installCopy)
		if errors.Is(err, shardmap.ErrNotEmpty) {
			return l.loadable(false)
		}
		return err
	}
	if err := l.installCopy(); err != nil {
		return err
	}
	return store.Replace(l.call, l.in.tables, l.at)
}

// installCopy gives the copy the data file's name.
func (l *loading) installCopy() error {
	if l.srv.store.Clock()+loadAhead/2 > l.at {
		return errors.New(
			"too much was changed while the file was read: nothing was loaded, try again",
		)
	}
	if err := errors.Join(l.srv.writable(), l.srv.numbers.Check()); err != nil {
		return err
	}
	data := &l.srv.cfg.Data
	l.renaming = true
	if err := persist.Replace(data.FS, l.part, data.File); err != nil {
		return err
	}
	// the journal continues the copy alone; the next save replaces this one anyway
	_ = data.FS.Remove(persist.PrevName(data.File))
	return nil
}

// undo restores the state before the load, after an error, which it returns.
func (l *loading) undo(err error) error {
	data := &l.srv.cfg.Data
	if l.in != nil {
		l.in.discard()
	}
	if l.written {
		_ = data.FS.Remove(l.part) // err matters more
	}
	if !l.renaming {
		return err
	}
	if problem := l.savedAgain(); problem != nil {
		return fmt.Errorf(
			"%w; undoing it on disk failed too: until a save succeeds, a start may find the file's tables (%w)",
			err,
			problem,
		)
	}
	_ = data.FS.Remove(persist.PrevName(data.File)) // the copy, perhaps
	return err
}

// loaded records that the data file is the copy, and saves once more, so that there is a previous
// file again.
func (s *saver) loaded(name string, info persist.FileInfo) {
	s.mu.Lock()
	s.holdsLocked(info)
	s.previous = info.LSN
	if s.srv.journal != nil {
		s.grown = s.srv.journal.BytesWritten()
	}
	s.mu.Unlock()
	s.srv.log.Info(
		"loaded",
		slog.String("file", name),
		slog.Int("tables", info.Tables),
		slog.Uint64("items", info.Items),
		slog.Uint64("clock", info.LSN),
	)
	_ = s.savedAgain() // logged
}

// savedAgain writes the data file once more, before it is due. If that fails the saver tries again
// soon, as after every save.
func (s *saver) savedAgain() error {
	s.waiters.Add(1)
	defer s.waiters.Add(-1)
	info, err := s.writeOwn()
	s.mu.Lock()
	if s.tried, s.err = time.Now(), err; err == nil {
		s.holdsLocked(info)
	}
	s.mu.Unlock()
	if err != nil {
		s.srv.log.Error("not saved after loading; the server continues and tries again", slog.Any("error", err))
	}
	return err
}
