package persist

import (
	"errors"
	"fmt"
	"io/fs"
)

// Target is the database that Recover fills.
type Target interface {
	Loader
	// Begin is called before a file is loaded: what was loaded before is to be forgotten, that file
	// has turned out to be damaged.
	Begin(file FileInfo) error
	// Apply does one operation of the journal again; without op its numbers are taken, and that is
	// all.
	Apply(lsn, n uint64, op []byte) error
}

// Start is the settings of Recover.
type Start struct {
	File    string // the .cdb file
	Journal string // the journal's directory
	Options        // of the journal
	Numbers NumbersOptions
	// NoJournal: the journal is replayed if there is one that fits, and not written; with Repair,
	// what is damaged of it is set aside.
	NoJournal bool
	Workers   int                                  // that check and decompress blocks
	Progress  func(name string, done, total int64) // of loading a file; nil: none
	Warn      func(what string)                    // what an operator must know; nil: nobody does
}

// Recovered is what Recover has found.
type Recovered struct {
	Loaded   string   // the .cdb file that was loaded, "" if there is none
	File     FileInfo // of it
	Database ID
	Last     uint64   // LSN of the last operation
	Clock    uint64   // the clock goes on from here: no number above was assigned
	Numbers  *Numbers // to be started before anything is changed
	Journal  *Journal // replayed, to be started with Clock+1; nil with NoJournal
	Replay   Recovery
}

// Lost is what was in the files once, and is not loaded. Zero: nothing is known to be.
type Lost struct {
	Operations uint64 // at least
	Bytes      int64  // of the journal
	From       uint64 // LSN of the first
}

// Lost returns what is known to be lost: what was cut off the journal, and what came before the
// last end in order and is missing.
func (r *Recovered) Lost() (lost Lost) {
	if cut := r.Replay.Truncation; cut != nil {
		lost = Lost{uint64(cut.Operations), cut.Bytes, cut.LSN}
	}
	if ended := r.Numbers.found.ended; ended > r.Last {
		lost.Operations, lost.From = max(lost.Operations, ended-r.Last), r.Last+1
	}
	return lost
}

// Recover fills the target with what is on disk: the .cdb file, or the one before it if that is
// damaged or missing; then what the journal has from there on. A damaged file that was done without
// is kept under a name that ends in ".damaged".
//
// Errors: ErrDamaged if both files are, or if the journal is and Repair is not set; ErrMismatch if
// journal and file are of two databases, or the journal begins after the file's end; ErrForeign,
// ErrVersion, ErrNotRegular; those of the file system and of the target. They name the files.
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
		if err := r.setFileAside(); err != nil {
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
	damaged string // a file that was done without
}

// regular returns an error if a name that a save is to give to a file leads to something else.
func (r *recovering) regular() error {
	for _, name := range []string{PrevName(r.File), r.File + partSuffix} {
		if _, err := exists(r.fs, name); err != nil {
			return err
		}
	}
	return nil
}

// files loads the .cdb file, or else the one before it.
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
		r.Warn(fmt.Sprintf("%v; %s is loaded instead, which ends at LSN %d", err, prev, r.found.File.LSN))
	case prevErr == nil:
		r.Warn(fmt.Sprintf("%s is missing; %s is loaded instead, which ends at LSN %d", r.File, prev, r.found.File.LSN))
	case r.damaged != "":
		return fmt.Errorf("%w; and in its place: %w", err, prevErr)
	case !errors.Is(prevErr, fs.ErrNotExist):
		return fmt.Errorf("%s is missing; and in its place: %w", r.File, prevErr)
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
	return nil
}

// journal replays the journal onto what was loaded.
func (r *recovering) journal() error {
	r.Database, r.DataFile, r.ended = r.found.Database, r.File, r.found.Numbers.found.ended
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
		r.Warn(fmt.Sprintf("%v; the journal is left alone", err))
		r.found.Database = ID{} // what is saved from here on is not of the journal's database
		r.newDatabase()
		return nil
	case errors.Is(err, ErrMismatch) && r.Repair:
		r.Warn(fmt.Sprintf("%v; the journal is set aside", err))
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
		// What is changed from here on has the numbers of what is left out: a later start must not
		// take that for what comes next.
		return j.cutTail()
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
		r.Warn(fmt.Sprintf("%s is damaged at its beginning and set aside", name))
	}
	if info.Truncation != nil {
		r.Warn(info.Truncation.String())
	}
	r.found.Last, r.found.Replay = info.Last, info
	return j, nil
}

// withoutJournal sets the segments aside, and opens the journal again, which is empty then.
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

// numbers finds out where the clock goes on.
func (r *recovering) numbers() {
	n, found := r.found.Numbers, r.found
	n.database = found.Database
	found.Clock = n.begin(found.Last)
	if n.found.problem != nil && (found.Last > 0 || !errors.Is(n.found.problem, fs.ErrNotExist)) {
		r.Warn(
			fmt.Sprintf(
				"%v: which numbers were assigned is not known, and %d are left out: new versions begin at %d",
				n.found.problem,
				found.Clock-found.Last,
				found.Clock+1,
			),
		)
	}
	if n.found.problem == nil && n.found.ended > found.Last {
		r.Warn(
			fmt.Sprintf(
				"the server ended in order with operation %d, and the files hold those up to %d: what came after is lost, or these files are older",
				n.found.ended,
				found.Last,
			),
		)
	}
}

// setFileAside keeps the damaged file from becoming the previous one when the next is written.
func (r *recovering) setFileAside() error {
	if _, err := setAside(r.fs, r.damaged); err != nil {
		return err
	}
	return r.fs.SyncDir(dirOf(r.damaged))
}
