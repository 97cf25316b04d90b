package loop

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"time"

	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

const (
	// loadAhead is how far the clock may go on while a file is loaded: its tables are taken in as of a number that is chosen before.
	loadAhead = 1 << 20
	// loadSuffix is that of a file that is made while another is loaded, and takes the data file's name at the end.
	loadSuffix = ".load"
)

// load takes in the tables of a .cdb file while the server runs and has no tables: all at one moment or none, and on disk before anybody sees them.
//
// A crash in between leaves what was there before: the file that holds the tables takes the data file's name in the moment in which they are taken in.
func (s *saver) load(name string) (info persist.FileInfo, err error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	if err := s.loadable(); err != nil {
		return info, err
	}
	data := &s.srv.cfg.Data
	r, err := persist.Open(data.FS, name)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	log := s.srv.takeLog()
	defer s.srv.putLog(log)
	call := &shardmap.Call{Log: log.orNil(), Beside: true}

	from := r.Info()
	at := max(s.srv.store.Clock(), from.LSN) + loadAhead
	if at > shardmap.MaxLSN-loadAhead {
		return info, fmt.Errorf("%s: its clock is at %d, which leaves no room", name, from.LSN)
	}
	s.srv.store.Draw(call, from.LSN) // what is restored has lower numbers
	in := &takingIn{}
	in.log, in.store, in.done = s.srv.log, s.srv.store, in.keep
	defer func() {
		if err != nil {
			in.discard()
		}
	}()
	part := data.File + loadSuffix
	if info, err = s.copyIn(r, in, part, persist.Stamp{Database: s.database, LSN: at, Created: time.Now()}); err != nil {
		return info, err
	}
	grown, renaming := int64(0), false
	err = s.srv.store.Adopt(call, in.tables, at, func() error {
		if j := s.srv.journal; j != nil {
			grown = j.Grown()
			if err := j.Sync(at); err != nil { // the journal is never behind the file
				return err
			}
		}
		renaming = true
		return persist.Replace(data.FS, part, data.File)
	})
	if errors.Is(err, shardmap.ErrNotEmpty) {
		err = s.loadable()
	}
	if err != nil {
		_ = data.FS.Remove(part) // what counts is why nothing was loaded
		if renaming {            // the data file may be the new one already: it does not stay
			s.savedAgain()
		}
		return info, err
	}
	s.loaded(name, info, grown)
	return info, nil
}

// loadable returns an error if tables cannot be taken in.
func (s *saver) loadable() error {
	if n := s.srv.store.Len(); n > 0 {
		return fmt.Errorf("the server has %d tables: a file is loaded into an empty server only; drop them first, or restart with --file", n)
	}
	return s.srv.writable()
}

// copyIn loads a file, and writes it once more as one of this database.
func (s *saver) copyIn(r *persist.Reader, in *takingIn, part string, stamp persist.Stamp) (persist.FileInfo, error) {
	fsys := s.srv.cfg.Data.FS
	if err := fsys.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) { // a crash has left it
		return persist.FileInfo{}, err
	}
	return persist.WriteFile(fsys, part, stamp, persist.S2, func(w *persist.Writer) error {
		in.copy = w
		if err := r.Load(runtime.GOMAXPROCS(0), in, nil); err != nil {
			return err
		}
		if err := in.finish(); err != nil {
			return err
		}
		return in.distinct()
	})
}

// loaded notes what the data file is from here on, and saves once more: the file before it is none that the journal goes on from.
func (s *saver) loaded(name string, info persist.FileInfo, grown int64) {
	s.mu.Lock()
	s.file, s.previous, s.grown = info, info.LSN, grown
	s.mu.Unlock()
	s.srv.log.Info("loaded", slog.String("file", name), slog.Int("tables", info.Tables), slog.Uint64("items", info.Items), slog.Uint64("clock", info.LSN))
	s.savedAgain()
}

// savedAgain writes the data file once more, out of turn. If that fails it is tried again soon, as after every save.
func (s *saver) savedAgain() {
	info, err := s.write(s.srv.cfg.Data.File)
	s.mu.Lock()
	if s.tried, s.err = time.Now(), err; err == nil {
		s.file = info
	}
	s.mu.Unlock()
	if err != nil {
		s.srv.log.Error("not saved after loading; the server goes on and tries again", slog.Any("error", err))
	}
}

// takingIn restores tables that nobody sees yet, and copies them to a file.
type takingIn struct {
	restoring
	tables []*shardmap.Restorer
	names  map[string]bool
	twice  string // a name that two tables bear
	copy   *persist.Writer
}

func (in *takingIn) keep(r *shardmap.Restorer) error {
	in.tables = append(in.tables, r)
	return nil
}

// Table implements persist.Loader.
func (in *takingIn) Table(t persist.Table) error {
	if in.names == nil {
		in.names = make(map[string]bool)
	}
	if in.names[t.Name] {
		in.twice = t.Name
	}
	in.names[t.Name] = true
	if err := in.copy.Table(t); err != nil {
		return err
	}
	return in.restoring.Table(t)
}

// Block implements persist.Loader.
func (in *takingIn) Block(b *persist.Block) error {
	if in.kind == persist.List {
		for val := range b.Elements() {
			if err := in.copy.Element(val); err != nil {
				return err
			}
		}
	} else {
		for e := range b.Entries() {
			if err := in.copy.Entry(e); err != nil {
				return err
			}
		}
	}
	return in.restoring.Block(b)
}

// distinct returns an error if two tables bear one name.
func (in *takingIn) distinct() error {
	if in.twice != "" {
		return fmt.Errorf("loop: the file holds two tables of the name %q", in.twice)
	}
	return nil
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
