package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

const (
	// leastOvergrown is how far the journal may grow, beyond what the last save covers, before the file is saved out of turn.
	leastOvergrown = 64 << 20
	// saveRetry is how long after a failed save the next is tried, at the latest.
	saveRetry = 10 * time.Second
	saverTick = 250 * time.Millisecond
)

// saver saves the tables to the .cdb file: periodically, when the journal is overgrown, on demand and at the end. One save at a time.
type saver struct {
	// constant after init
	srv      *Server
	database persist.ID

	saving sync.Mutex   // held while a save is under way
	waited atomic.Int32 // how many wait for one to end

	mu       sync.Mutex
	file     persist.FileInfo // the file that is there
	whole    uint64           // the clock when the file came to hold everything; 0: it never did
	previous uint64           // LSN that the one before it covers
	tried    time.Time        // the end of the last try, or of the start
	took     time.Duration    // the last save
	err      error            // of the last try
	grown    int64            // the journal's Grown at the last cut; below zero: what was replayed
	left     int              // how many requests of the journal the start has left out
}

func (s *saver) init(srv *Server, found *persist.Recovered) {
	s.srv, s.database, s.file, s.tried, s.grown = srv, found.Database, found.File, srv.started, -found.Replay.Bytes
	if found.Replay.Operations == 0 { // the clock may have gone on from the file's number
		s.whole = found.Clock
	}
}

// run saves when it is time to, until the server stops.
func (s *saver) run() {
	ticker := time.NewTicker(saverTick)
	defer ticker.Stop()
	for {
		select {
		case <-s.srv.sweeps:
			return
		case <-ticker.C:
			s.tick()
		}
	}
}

// tick saves if it is time to.
func (s *saver) tick() {
	defer s.srv.recovered("panic in the saver")
	if s.due(time.Now()) {
		_ = s.save() // logged, and shown by INFO
	}
}

// due says whether it is time for a save.
func (s *saver) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	cycle := s.srv.cfg.Data.Cycle
	since := now.Sub(s.tried)
	switch {
	case s.unchangedLocked():
		return false
	case s.err != nil:
		return since >= saveRetry || cycle > 0 && since >= cycle
	case cycle > 0 && since >= cycle:
		return true
	}
	return s.srv.journal != nil && s.srv.journal.Grown()-s.grown > max(leastOvergrown, s.file.Bytes)
}

// unchangedLocked says whether the file holds everything.
func (s *saver) unchangedLocked() bool { return s.srv.store.Clock() == s.whole }

// save writes the tables, as they are at one moment, to the file. It returns when they are on disk, at once if they are; of those who wait for a save that is under
// way, the first writes for all.
func (s *saver) save() error {
	asked := s.srv.store.Clock()
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	saved := s.unchangedLocked() || s.file.LSN > asked
	s.mu.Unlock()
	if saved {
		return nil
	}
	start := time.Now()
	grown := int64(0)
	if s.srv.journal != nil {
		grown = s.srv.journal.Grown()
	}
	info, err := s.write(s.srv.cfg.Data.File)
	s.mu.Lock()
	s.tried, s.err = time.Now(), err
	if err == nil {
		s.previous, s.file, s.whole, s.took, s.grown = s.file.LSN, info, info.LSN, s.tried.Sub(start), grown
	}
	covered := s.previous
	s.mu.Unlock()
	if err != nil {
		s.srv.log.Error("not saved; the server goes on and tries again", slog.Any("error", err))
		return err
	}
	s.srv.log.Info("saved", slog.String("file", s.srv.cfg.Data.File), slog.Int("tables", info.Tables), slog.Uint64("items", info.Items),
		slog.Int64("bytes", info.Bytes), slog.Duration("took", time.Since(start)))
	if s.srv.journal != nil {
		if err := s.srv.journal.DropBefore(covered); err != nil {
			s.srv.log.Warn("a journal segment that is not needed any more stays", slog.Any("error", err))
		}
	}
	return nil
}

// leftOut notes that the start has left n requests of the journal out, since they panic, and saves twice: what comes from here on was made without them, and must not be made again
// behind them by a version in which they do not panic.
func (s *saver) leftOut(n int) {
	s.mu.Lock()
	s.left = n
	s.mu.Unlock()
	if s.saveNow() == nil { // else it is tried again, as after every save
		_ = s.savedAgain() // logged, and tried again
	}
}

// saveNow is save for somebody who waits.
func (s *saver) saveNow() error {
	s.waited.Add(1)
	defer s.waited.Add(-1)
	return s.save()
}

// saveTo writes the tables, as they are at one moment, to another file than the server's own. The journal stays as it is.
func (s *saver) saveTo(file string) (persist.FileInfo, error) {
	s.waited.Add(1)
	defer s.waited.Add(-1)
	s.saving.Lock()
	defer s.saving.Unlock()
	return s.write(file)
}

// write cuts a view of the store and writes it to a file. A panic in it becomes an error.
//
// Errors: ErrMoved is found if the data directory is not the one that the server began with.
func (s *saver) write(file string) (info persist.FileInfo, err error) {
	if err := s.srv.numbers.Check(); err != nil {
		return info, err
	}
	if info, err = s.writeView(file); err == nil {
		err = s.srv.numbers.Check()
	}
	return info, err
}

func (s *saver) writeView(file string) (info persist.FileInfo, err error) {
	log := s.srv.takeLog()
	call := &shardmap.Call{Log: log.orNil()}
	defer func() {
		if p := recover(); p != nil {
			err = s.srv.defect("panic in a save", p, call)
		}
	}()
	view := s.srv.store.View(call)
	s.srv.putLog(log)
	defer view.Close()
	stamp := persist.Stamp{Database: s.database, LSN: view.Number(), Created: time.Now()}
	data := &s.srv.cfg.Data
	for name, table := range view.Tables() {
		if err := savable(name, table); err != nil {
			return persist.FileInfo{}, err
		}
	}
	return persist.WriteFile(data.FS, file, stamp, persist.S2, func(w *persist.Writer) error {
		pace := newPacer(s.srv)
		for name, table := range view.Tables() {
			if err := s.table(w, name, table, pace); err != nil {
				return err
			}
		}
		// The journal is never behind the file: else numbers that the file covers could be drawn again after a crash. One that is broken
		// stays behind for ever, and writes nothing any more.
		if j := s.srv.journal; j != nil {
			_ = j.Sync(view.Number())
		}
		return nil
	})
}

// savable returns an error if a table is spoiled.
func savable(name string, table *shardmap.TableView) error {
	if err := table.Err(); err != nil {
		return fmt.Errorf("loop: table %q cannot be saved: %w; restart the server, or drop the table", name, err)
	}
	return nil
}

// table writes one table. A panic in it becomes an error.
func (s *saver) table(w *persist.Writer, name string, table *shardmap.TableView, pace *pacer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("loop: table %q cannot be saved: %w", name, s.srv.defect("panic in a save", p, nil))
		}
	}()
	if err := writeTable(w, name, table, pace); err != nil {
		return err
	}
	return savable(name, table)
}

func writeTable(w *persist.Writer, name string, table *shardmap.TableView, pace *pacer) error {
	t := persist.Table{Name: name, Kind: persist.Dict, Born: table.Created()}
	if list := table.List(); list != nil {
		t.Kind = persist.List
		if err := w.Table(t); err != nil {
			return err
		}
		for val := range list.Values() {
			if err := w.Element(val); err != nil {
				return err
			}
			pace.wrote()
		}
		return nil
	}
	if err := w.Table(t); err != nil {
		return err
	}
	for e := range table.Dict().Drain() { // lets what writers have handed over go as it is written
		if err := w.Entry(persist.Entry(e)); err != nil {
			return err
		}
		pace.wrote()
	}
	return nil
}

// Save saves the tables to the .cdb file and returns when that is on disk. Errors: the server keeps none; those of the file system.
func (srv *Server) Save() error {
	if srv.cfg.Data.File == "" {
		return &codec.Error{Status: codec.StatusUnsupported, Message: "this server keeps its tables in memory only"}
	}
	return srv.saver.saveNow()
}

// save answers when the tables are on disk.
func save(x *executor) error {
	if !x.call.Beside {
		return shardmap.ErrLong
	}
	err := x.srv.Save()
	var ready *codec.Error
	if err != nil && !errors.As(err, &ready) {
		return &codec.Error{Status: codec.StatusNotDurable, Message: err.Error()}
	}
	x.body = msgp.AppendBool(x.body, true)
	return err
}

// ErrUnsaved is found in the error that a server ends with if its last save failed, or its journal.
var ErrUnsaved = errors.New("the tables could not be saved at the end")

// endData saves for the last time and closes the journal. Nothing changes the tables any more.
func (srv *Server) endData() error {
	if srv.cfg.Data.File == "" {
		return nil
	}
	unsaved, unclosed := srv.saver.save(), srv.closeFiles()
	if unsaved == nil && unclosed == nil {
		return nil
	}
	return fmt.Errorf("%w: %w; %s", ErrUnsaved, errors.Join(unsaved, unclosed), srv.whatIsLost(unsaved, unclosed))
}

// whatIsLost says in one line what a server loses that ends with these errors.
func (srv *Server) whatIsLost(unsaved, unclosed error) string {
	onDisk, clock := srv.dataInfo().SavedClock, srv.store.Clock()
	switch {
	case unsaved == nil:
		return "the file holds everything: nothing is lost"
	case srv.journal != nil && unclosed == nil:
		return "the journal holds everything: nothing is lost"
	case srv.journal != nil:
		onDisk = srv.journal.Durable()
	}
	if onDisk >= clock {
		return "nothing is lost"
	}
	return fmt.Sprintf("the numbers %d to %d are not on disk: what was changed by them is lost", onDisk+1, clock)
}

// closeFiles closes the journal and the reservation of numbers.
func (srv *Server) closeFiles() error {
	if srv.numbers == nil {
		return nil
	}
	last := srv.saver.lastInFile()
	if srv.journal != nil {
		if err := srv.journal.Close(); err != nil {
			return errors.Join(err, srv.numbers.Close(0))
		}
		last = max(last, srv.journal.Recorded())
	}
	return srv.numbers.Close(last)
}

// lastInFile returns the number of the last operation in the file, 0 if the file does not hold all operations.
func (s *saver) lastInFile() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unchangedLocked() {
		return 0
	}
	return s.file.LSN
}
