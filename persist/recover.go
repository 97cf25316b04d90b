package persist

import (
	"errors"
	"fmt"
	"io/fs"
)

// Target is the database that Recover fills.
type Target interface {
	Loader
	// Begin is called before a file is loaded. It discards what was loaded before: that file turned
	// out to be damaged.
	Begin(file FileInfo) error
	// Apply applies one operation of the journal. Its bytes are valid until Apply returns.
	Apply(op Operation) error
}

// Start has the settings of Recover.
type Start struct {
	File    string // the .cdb file
	Journal string // the journal's directory
	Options        // of the journal
	Numbers NumbersOptions
	// NoJournal replays a journal that exists and fits, but does not write it. With Repair, damaged
	// parts of it are quarantined.
	NoJournal bool
	Workers   int                                  // number of goroutines that check and decompress blocks
	Progress  func(name string, done, total int64) // of loading a file; nil: not reported
	Warn      func(what string)                    // messages for the operator; nil: dropped
}

// Recovered is the result of Recover.
type Recovered struct {
	Loaded   string   // the .cdb file that was loaded, "" if there is none
	File     FileInfo // of it
	Database ID
	Last     uint64   // LSN of the last operation
	Time     int64    // the highest time in the files, in milliseconds since 1970 UTC; 0: unknown
	Clock    uint64   // the clock continues from here: no higher LSN was assigned
	Numbers  *Numbers // to be started before the first change
	Journal  *Journal // replayed, to be started with Clock+1 and at least Time; nil with NoJournal
	Replay   Recovery
}

// Lost is what was once in the files and is not loaded. Zero: no loss is known.
type Lost struct {
	Operations uint64 // at least
	Bytes      int64  // of the journal
	From       uint64 // LSN of the first
}

// Lost returns what is known to be lost: what was cut off the journal, and operations that are
// missing although the last shutdown was clean.
func (r *Recovered) Lost() (lost Lost) {
	if cut := r.Replay.Truncation; cut != nil {
		lost = Lost{uint64(cut.Operations), cut.Bytes, cut.LSN}
	}
	if ended := r.Numbers.stored.ended; ended > r.Last {
		lost.Operations, lost.From = max(lost.Operations, ended-r.Last), r.Last+1
	}
	return lost
}

// Recover fills the target with what is on disk: the .cdb file, or the previous one if it is
// damaged or missing; then the journal from there on. A damaged file is kept under a name that ends
// in ".damaged".
//
// Errors: ErrDamaged if both files are damaged, or if the journal is and Repair is not set;
// ErrMismatch if journal and file are of two databases, or the journal begins after the file's LSN;
// ErrForeign, ErrVersion, ErrNotRegular; those of the file system and of the target. They name the
// files.
func Recover(fsys FS, start Start, target Target) (*Recovered, error) {
	r := recovering{fs: fsys, Start: start, target: target, found: &Recovered{}}
	if r.Warn == nil {
		r.Warn = func(string) {}
	}
	if err := r.regular(); err != nil {
		return nil, err
	}
	var err error
	if r.found.Numbers, err = readNumbers(fsys, NumbersName(r.File), r.Numbers); err != nil {
		return nil, err
	}
	if err := r.files(); err != nil {
		return nil, err
	}
	if err := r.journal(); err != nil {
		return nil, err
	}
	r.numbers()
	if r.damaged != "" {
		if err := r.quarantineFile(); err != nil {
			return nil, err
		}
	}
	return r.found, nil
}

type recovering struct {
	Start
	fs      FS
	target  Target
	found   *Recovered
	damaged string // a damaged file, in place of which the previous one was loaded
}

// regular returns an error if a name that a save will use is not that of a regular file.
func (r *recovering) regular() error {
	for _, name := range []string{PrevName(r.File), r.File + partSuffix} {
		if _, err := exists(r.fs, name); err != nil {
			return err
		}
	}
	return nil
}

// files loads the .cdb file, or otherwise the previous one.
func (r *recovering) files() error {
	err := r.load(r.File)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, ErrDamaged):
		r.damaged = r.File
	default:
		return err
	}
	prev := PrevName(r.File)
	prevErr := r.load(prev)
	switch {
	case prevErr == nil && r.damaged != "":
		r.Warn(fmt.Sprintf("%v; loading %s instead, which ends at LSN %d", err, prev, r.found.File.LSN))
	case prevErr == nil:
		r.Warn(fmt.Sprintf("%s is missing; loading %s instead, which ends at LSN %d", r.File, prev, r.found.File.LSN))
	case r.damaged != "":
		return fmt.Errorf("%w; the previous file: %w", err, prevErr)
	case !errors.Is(prevErr, fs.ErrNotExist):
		return fmt.Errorf("%s is missing; the previous file: %w", r.File, prevErr)
	}
	return nil
}

// load loads one file into the target.
func (r *recovering) load(name string) (err error) {
	f, err := Open(r.fs, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var progress func(done, total int64)
	if r.Progress != nil {
		progress = func(done, total int64) { r.Progress(name, done, total) }
	}
	if err := r.target.Begin(f.Info()); err != nil {
		return err
	}
	if err := f.Load(r.Workers, r.target, progress); err != nil {
		return err
	}
	r.found.Loaded, r.found.File, r.found.Database, r.found.Last = name, f.Info(), f.stamp.Database, f.stamp.LSN
	r.found.Time = f.stamp.Created.UnixMilli()
	return nil
}

// journal replays the journal onto the loaded file.
func (r *recovering) journal() error {
	r.Database, r.DataFile, r.ended = r.found.Database, r.File, r.found.Numbers.stored.ended
	r.check = r.found.Numbers.Check
	if r.found.Loaded != "" {
		r.DataFile = r.found.Loaded
	}
	if r.NoJournal {
		if _, err := r.fs.List(r.Journal); errors.Is(err, fs.ErrNotExist) {
			r.newDatabase()
			return nil
		}
	}
	j, err := r.replay()
	switch {
	case err == nil:
	case errors.Is(err, ErrMismatch) && r.NoJournal:
		r.Warn(fmt.Sprintf("%v; ignoring the journal", err))
		r.found.Database = ID{} // later saves are not of the journal's database
		r.newDatabase()
		return nil
	case errors.Is(err, ErrMismatch) && r.Repair:
		r.Warn(fmt.Sprintf("%v; quarantining the journal", err))
		if j, err = r.withoutJournal(); err != nil {
			return err
		}
	default:
		return err
	}
	r.found.Database = j.Database()
	if !r.NoJournal {
		r.found.Journal = j
		return nil
	}
	if cut := r.found.Replay.Truncation; cut != nil && cut.Damaged {
		// Changes from here on have the LSNs of the skipped part: a later start must not replay
		// that after them.
		return j.truncateTail()
	}
	return nil
}

func (r *recovering) newDatabase() {
	if r.found.Database == (ID{}) {
		r.found.Database = NewID()
	}
}

func (r *recovering) replay() (*Journal, error) {
	j, err := OpenJournal(r.fs, r.Journal, r.Options)
	if err != nil {
		return nil, err
	}
	info, err := j.Replay(r.found.Last, r.target.Apply)
	if err != nil {
		return nil, err
	}
	for _, name := range info.Quarantined {
		r.Warn(fmt.Sprintf("%s has a damaged header; quarantined it", name))
	}
	if info.Truncation != nil {
		r.Warn(info.Truncation.String())
	}
	r.found.Last, r.found.Replay = info.Last, info
	r.found.Time = max(r.found.Time, info.Time)
	return j, nil
}

// withoutJournal quarantines all segments and opens the journal again, which is then empty.
func (r *recovering) withoutJournal() (*Journal, error) {
	opt := r.Options
	opt.Database = ID{}
	j, err := OpenJournal(r.fs, r.Journal, opt)
	if err != nil {
		return nil, err
	}
	if err := j.Quarantine(); err != nil {
		return nil, err
	}
	if j, err = OpenJournal(r.fs, r.Journal, r.Options); err != nil {
		return nil, err
	}
	_, err = j.Replay(r.found.Last, r.target.Apply)
	return j, err
}

// numbers determines where the clock continues.
func (r *recovering) numbers() {
	n, found := r.found.Numbers, r.found
	n.database = found.Database
	found.Clock = n.firstClock(found.Last)
	if n.stored.problem != nil && (found.Last > 0 || !errors.Is(n.stored.problem, fs.ErrNotExist)) {
		r.Warn(
			fmt.Sprintf(
				"%v: the LSNs assigned so far are unknown; skipping %d: new versions begin at %d",
				n.stored.problem,
				found.Clock-found.Last,
				found.Clock+1,
			),
		)
	}
	if n.stored.problem == nil && n.stored.ended > found.Last {
		r.Warn(
			fmt.Sprintf(
				"the server shut down cleanly after operation %d, but the files end at %d: later operations "+
					"are lost, or these files are older",
				n.stored.ended,
				found.Last,
			),
		)
	}
}

// quarantineFile renames the damaged file, so that the next save does not make it the previous one.
func (r *recovering) quarantineFile() error {
	if _, err := quarantine(r.fs, r.damaged); err != nil {
		return err
	}
	return r.fs.SyncDir(dirOf(r.damaged))
}
