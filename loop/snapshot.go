package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
)

const (
	// leastOvergrown is how far the journal may grow, beyond what the last save covers, before the
	// file is saved early.
	leastOvergrown = 64 << 20
	// saveRetry is the longest time between a failed save and the next attempt.
	saveRetry = 10 * time.Second
	// saverTick is the least time between two checks whether a save is due.
	saverTick = 250 * time.Millisecond
)

// saver saves the tables to the .cdb file: periodically, when the journal is overgrown, on demand
// and at the end. One save at a time.
type saver struct {
	// constant after init
	srv      *Server
	database persist.ID
	look     chan struct{} // wakes run, which checks whether a save is due
	began    uint64        // the clock at the start: everything before it is on disk

	saving  sync.Mutex   // held while a save is under way
	locked  persist.File // the data file, locked; nil: there is none; guarded by saving
	waiters atomic.Int32 // how many callers wait for a save

	mu          sync.Mutex
	file        persist.FileInfo // the present file
	completeLSN uint64           // the clock when the file held everything; 0: it never did
	heldLSN     uint64           // the clock, less the changes that the file does not hold
	previous    uint64           // LSN of the previous file
	tried       time.Time        // the end of the last attempt, or of the start
	took        time.Duration    // the last save
	err         error            // of the last attempt
	grown       int64            // the journal's Grown at the last cut; below zero: the bytes that were replayed
	skipped     int              // how many requests of the journal the start has skipped
}

// init takes what was found on disk, and how many changes of the journal the file does not hold.
// The clock may be far beyond the LSNs of both.
func (s *saver) init(srv *Server, found *persist.Recovered, replayed uint64) {
	s.srv, s.database, s.file, s.tried, s.grown = srv, found.Database, found.File, srv.started, -found.Replay.Bytes
	s.look = make(chan struct{}, 1)
	if found.Replay.Operations == 0 { // the clock may have continued from the file's LSN
		s.completeLSN = found.Clock
	}
	s.heldLSN = found.Clock - replayed
}

// run saves when a save is due, until the server stops.
func (s *saver) run() {
	timer := time.NewTimer(saverTick)
	defer timer.Stop()
	for {
		select {
		case <-s.srv.sweeps:
			return
		case <-s.look:
		case <-timer.C:
		}
		s.tick()
		timer.Reset(max(s.dueIn(time.Now()), saverTick))
	}
}

// checkSoon makes run check whether a save is due: the tables may have changed.
func (s *saver) checkSoon() {
	select {
	case s.look <- struct{}{}:
	default: // it will check
	}
}

// tick saves if a save is due.
func (s *saver) tick() {
	defer s.srv.recovered("panic in the saver")
	if s.dueIn(time.Now()) <= 0 {
		_ = s.save() // logged, and shown by INFO
	}
}

// dueIn returns how long it is until a save is due, if nothing more changes.
func (s *saver) dueIn(now time.Time) time.Duration {
	if s.srv.readOnly {
		return never
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	left := never
	if cycle := s.srv.cfg.Data.Cycle; cycle > 0 {
		left = cycle - now.Sub(s.tried)
	}
	switch {
	case s.unchangedLocked():
		return never
	case s.err != nil:
		return min(left, saveRetry-now.Sub(s.tried))
	case s.srv.journal != nil && s.srv.journal.BytesWritten()-s.grown > max(leastOvergrown, s.file.Bytes):
		return 0
	}
	return left
}

// unchangedLocked says whether the file holds everything.
func (s *saver) unchangedLocked() bool { return s.srv.store.Clock() == s.completeLSN }

// holdsLocked records what the file holds now.
func (s *saver) holdsLocked(info persist.FileInfo) {
	s.file, s.completeLSN, s.heldLSN = info, info.LSN, info.LSN
}

// save writes the tables as of one moment to the file. It returns when they are on disk,
// immediately if they are. Of the callers that wait while another save runs, the first saves for
// all.
func (s *saver) save() error {
	asked := s.srv.store.Clock()
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	saved := s.unchangedLocked() || s.file.LSN >= asked
	s.mu.Unlock()
	if saved {
		return nil
	}
	if s.srv.readOnly {
		return &codec.Error{Status: codec.StatusReadOnly, Message: "nothing is saved, and nothing has changed: " +
			"the disk was full when the server started: free disk space, then restart"}
	}
	s.removeAbandoned()
	start := time.Now()
	grown := int64(0)
	if s.srv.journal != nil {
		grown = s.srv.journal.BytesWritten()
	}
	info, err := s.writeOwn()
	s.mu.Lock()
	s.tried, s.err = time.Now(), err
	if err == nil {
		s.previous, s.took, s.grown = s.file.LSN, s.tried.Sub(start), grown
		s.holdsLocked(info)
	}
	covered := s.previous
	s.mu.Unlock()
	if err != nil {
		s.logUnsaved(err)
		return err
	}
	s.srv.log.Info(
		"saved",
		slog.String("file", s.srv.cfg.Data.File),
		slog.Int("tables", info.Tables),
		slog.Uint64("items", info.Items),
		slog.Int64("bytes", info.Bytes),
		took(start),
	)
	if s.srv.journal != nil {
		if err := s.srv.journal.DropBefore(covered); err != nil {
			s.srv.log.Warn("a journal segment that is not needed any more cannot be removed", slog.Any("error", err))
		}
	}
	return nil
}

// logUnsaved logs that a save has failed.
func (s *saver) logUnsaved(err error) {
	switch {
	case errors.Is(err, errCutShort):
		s.srv.log.Info("a save is cut short")
	case s.srv.draining.Load():
		s.srv.log.Error("not saved", slog.Any("error", err))
	default:
		s.srv.log.Error("not saved; the server continues and tries again", slog.Any("error", err))
	}
}

// recordSkipped records that the start skipped n journal entries that panic, and writes two
// snapshots immediately, so that a later version cannot replay the skipped entries before writes
// that were made without them.
func (s *saver) recordSkipped(n int) {
	s.mu.Lock()
	s.skipped = n
	s.mu.Unlock()
	if s.saveNow() == nil { // else it is tried again, as after every save
		_ = s.savedAgain() // logged, and tried again
	}
}

// saveNow is save for a caller that waits.
func (s *saver) saveNow() error {
	s.waiters.Add(1)
	defer s.waiters.Add(-1)
	return s.save()
}

// saveTo writes the tables as of one moment to another file than the server's own. name
// is the file's name as the user gave it. replace permits to overwrite a file of another database.
// The journal does not change.
//
// Errors: those of persist.Claim and of the save.
func (s *saver) saveTo(name, file string, replace bool) (persist.FileInfo, error) {
	s.waiters.Add(1)
	defer s.waiters.Add(-1)
	s.saving.Lock()
	defer s.saving.Unlock()
	s.removeAbandoned()
	data := &s.srv.cfg.Data
	by := persist.Claimant{File: data.File, Database: s.database, Replace: replace}
	release, err := persist.Claim(data.FS, name, file, by)
	if err != nil {
		return persist.FileInfo{}, fmt.Errorf("nothing was saved: %w%s", err, claimAdvice(err))
	}
	defer release()
	s.removeFrom(filepath.Dir(file), s.database)
	return s.write(file)
}

// claimAdvice says what to do about a file that must not be overwritten.
func claimAdvice(err error) string {
	switch {
	case errors.Is(err, persist.ErrTaken):
		return `; choose another name, move it away, or say "replace":true, which keeps the file as .prev`
	case errors.Is(err, persist.ErrLocked):
		return "; choose another name"
	}
	return ""
}

// removeAbandoned removes the temporary files of killed saves from the server's own directories.
func (s *saver) removeAbandoned() {
	data := &s.srv.cfg.Data
	load := data.File + loadSuffix
	s.removeFrom(filepath.Dir(data.File), persist.ID{}, persist.PartName(data.File), load, persist.PartName(load))
	if data.Control != "" {
		s.removeFrom(filepath.Dir(data.Control), persist.ID{})
	}
}

// removeFrom removes the temporary files of killed saves from a directory, and logs their names.
func (s *saver) removeFrom(dir string, database persist.ID, others ...string) {
	removed, err := persist.RemoveAbandoned(s.srv.cfg.Data.FS, dir, database, others...)
	if err != nil {
		s.srv.log.Warn("the temporary files of killed saves cannot be removed", slog.Any("error", err))
	}
	for _, name := range removed {
		s.srv.log.Info("removed a temporary file of a killed save", slog.String("file", name))
	}
}

// lockFile locks the present data file and unlocks the previous one.
//
// Errors: those of persist.LockDataFile.
func (s *saver) lockFile() error {
	file, err := persist.LockDataFile(s.srv.cfg.Data.FS, s.srv.cfg.Data.File)
	if err != nil {
		return err
	}
	s.unlockFile()
	s.locked = file
	return nil
}

// unlockFile unlocks the data file.
func (s *saver) unlockFile() {
	if s.locked != nil {
		_ = s.locked.Close() // only locked
		s.locked = nil
	}
}

// Save saves the tables to the .cdb file and returns when that is on disk. Errors: the server keeps
// none; those of the file system.
func (srv *Server) Save() error {
	if srv.cfg.Data.File == "" {
		return &codec.Error{Status: codec.StatusUnsupported, Message: "this server keeps its tables in memory only"}
	}
	return srv.saver.saveNow()
}

// lastInFile returns the LSN of the last operation in the file, 0 if the file does not hold all
// operations.
func (s *saver) lastInFile() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unchangedLocked() {
		return 0
	}
	return s.file.LSN
}
