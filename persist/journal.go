package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cyberdb-fast/persist/sequence"
)

// Policy says when the journal is synced.
type Policy uint8

// The policies.
const (
	// EverySecond syncs once a second. A power cut loses the last second and the time of one sync;
	// a killed process loses the last 10 ms.
	EverySecond Policy = iota
	Always             // after each write: acknowledged operations are on disk
	Never              // when the system does; also at the end of a segment, and for RequestSync
)

func (p Policy) String() string {
	switch p {
	case EverySecond:
		return "everysec"
	case Always:
		return "always"
	case Never:
		return "no"
	}
	return "unknown policy"
}

const (
	defaultSegmentBytes = 64 << 20
	defaultKeptBytes    = 2 << 20
	// A record is closed once its payload has this many bytes; one operation may be larger.
	recordBytes = 256 << 10
	writeBytes  = 1 << 20 // most bytes per write to the file, unless one operation is larger

	writeDelay = 10 * time.Millisecond // how long an operation may stay in memory if no caller waits for it
	syncDelay  = time.Second           // for EverySecond
	markDelay  = time.Second           // from the last write to the mark that says that everything is on disk
)

// Options are the settings of a journal. The zero value is ready for use.
type Options struct {
	Policy       Policy
	Semantics    uint64 // Operation.Semantics of what Buffer.Append adds; 0: 1
	SegmentBytes int64  // a segment is closed once it has this many bytes; 0: 64 MiB
	Database     ID     // that the journal must belong to; zero: that of its segments, or a new one
	DataFile     string // name of the .cdb file with that ID, for error messages
	KeptBytes    int    // a longer operation is retained until it is written, not copied; 0: 2 MiB
	Repair       bool   // replay up to the damage and quarantine what follows, instead of returning an error

	// InFlightBytes is the most bytes that unannounced operations have together between HasRoom and
	// Append.
	InFlightBytes int64

	// OnFull, if not nil, is called on the flusher's goroutine, or by Close: once when no more
	// space can be reserved, and with nil when it can again. It must not block.
	OnFull func(err error)
	// OnSync, if not nil, is called on the flusher's goroutine, or by Close: after each sync, after
	// an acknowledging sink has taken operations, and once when the journal breaks. It must not
	// block.
	OnSync func()
	// SyncTook, if not nil, is called on the flusher's goroutine after a sync of operations that
	// has taken that long. It must not block.
	SyncTook func(d time.Duration)
	// OnSegmentErr, if not nil, is called on the flusher's goroutine, or by Close: once when the
	// next segment cannot be begun, and with nil when it can again. It must not block.
	OnSegmentErr func(err error)

	// ended is the last operation of a server that shut down cleanly, 0 if unknown: nothing up to
	// it can be torn.
	ended uint64
	check func() error // whether a start will find the other files that it needs; nil: there are none
}

// Operation is one entry of the journal.
type Operation = sequence.Operation

// Buffer collects the operations of one writer.
type Buffer = sequence.Buffer

// Journal is the write-ahead log in one directory: segments of records of operations, in the order
// of their LSNs, without a gap.
//
// Open it, Replay it, Start it. Then writers append to Buffers; the sequencer collects and orders
// the operations. On its goroutine, the flusher writes them, and syncs according to the policy.
// Once Start has returned, methods are safe for concurrent use.
type Journal struct {
	// Sequencer collects and orders the operations. Its Durable, Err and Sync are those of the
	// journal.
	*sequence.Sequencer

	// constant after Start
	fs          FS
	dir         string
	opt         Options
	replayed    *replayState // the result of Replay; nil before
	quarantined []string     // segments that OpenJournal has quarantined
	newest      uint64       // the highest segment number that OpenJournal has found

	written      atomic.Uint64 // the last LSN written to the file; set by the flusher
	noRoom       atomic.Bool   // fullErr is set; by the flusher
	flushed      atomic.Int64  // of Appended, written to the file; set by the flusher
	reserved     atomic.Int64  // of Appended, those with disk space; set by the flusher
	bytesWritten atomic.Int64  // to files since Start

	mu         sync.Mutex
	segmentErr error     // why the next segment cannot be begun; guarded by mu
	fullErr    error     // why no more space can be reserved; guarded by mu
	segments   []segment // guarded by mu; the last one is being written, the flusher maintains its size

	flusher flusher // owned by the sequencer's goroutine
}

// OpenJournal opens the journal in a directory, which it creates if necessary, and reads the
// headers of its segments.
//
// Errors: ErrMismatch if they are of several databases or not of Options.Database; ErrDamaged,
// ErrForeign, ErrVersion; those of the file system. Each names the file.
func OpenJournal(fsys FS, dir string, opt Options) (*Journal, error) {
	if opt.SegmentBytes <= 0 {
		opt.SegmentBytes = defaultSegmentBytes
	}
	if opt.KeptBytes <= 0 {
		opt.KeptBytes = defaultKeptBytes
	}
	j := &Journal{
		fs:  fsys,
		dir: dir,
		opt: opt,
		Sequencer: sequence.New(sequence.Options{
			KeptBytes: opt.KeptBytes,
			Semantics: opt.Semantics,
			OnSync:    opt.OnSync,
		}),
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, err
	}
	if err := fsys.SyncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	if err := j.list(); err != nil {
		return nil, err
	}
	if err := j.identify(); err != nil {
		return nil, err
	}
	return j, nil
}

// list reads the headers of all segments.
func (j *Journal) list() error {
	names, err := j.fs.List(j.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		number, ok := segmentNumber(name)
		if !ok {
			continue
		}
		j.newest = max(j.newest, number)
		s, err := openSegment(j.fs, joinName(j.dir, name), number)
		if j.opt.Repair && errors.Is(err, ErrDamaged) {
			if _, err := quarantine(j.fs, s.name); err != nil {
				return err
			}
			j.quarantined = append(j.quarantined, s.name)
			continue
		}
		if err != nil {
			return err
		}
		j.segments = append(j.segments, s)
	}
	slices.SortFunc(j.segments, func(a, b segment) int { return int(int64(a.number - b.number)) })
	for i, s := range j.segments {
		switch {
		case s.torn && i < len(j.segments)-1:
			return &DamageError{
				File:  s.name,
				Block: -1,
				What:  "the segment's header is incomplete, but there is a later segment",
			}
		case i > 0 && !s.torn && s.first < j.segments[i-1].first:
			return &DamageError{File: s.name, Block: -1, What: "the segment begins at a lower LSN than the one " +
				"before it"}
		}
	}
	return nil
}

// identify determines the database that the journal belongs to.
func (j *Journal) identify() error {
	id, from := j.opt.Database, j.dataFile()
	for _, s := range j.segments {
		switch {
		case s.torn:
		case id == ID{}:
			id, from = s.id, s.name
		case s.id != id:
			return fmt.Errorf("%w: %s belongs to database %v, but %s to %v", ErrMismatch, s.name, s.id, from, id)
		}
	}
	if id == (ID{}) {
		id = NewID()
	}
	j.opt.Database = id
	return nil
}

// Database returns the ID of the journal's database.
func (j *Journal) Database() ID { return j.opt.Database }

// Dir returns the directory.
func (j *Journal) Dir() string { return j.dir }

// Empty reports whether there is no segment.
func (j *Journal) Empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !slices.ContainsFunc(j.segments, func(s segment) bool { return !s.torn })
}

// Written returns the last LSN up to which all operations were passed to the system: they survive a
// crash of the process.
func (j *Journal) Written() uint64 { return j.written.Load() }

// LastLSN returns the LSN of the last operation in the segments. Call it after Close.
func (j *Journal) LastLSN() uint64 { return j.flusher.next - 1 - j.flusher.skipped }

// SegmentErr returns why the next segment could not be begun, nil if it could. The current one
// grows meanwhile, and nothing is lost.
func (j *Journal) SegmentErr() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segmentErr
}

// Pending returns how many bytes are appended but not yet written: a crash of the process loses
// them. Append never waits, so callers should stop appending while this exceeds what they want to
// hold in memory.
func (j *Journal) Pending() int64 {
	if j.Err() != nil {
		return 0 // what is not written is dropped
	}
	taken := j.flushed.Load() // load it first: it only grows, up to what was appended
	return max(j.Appended()-taken, 0)
}

// Size returns the length of all segments in bytes.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	var n int64
	for i := range j.segments {
		n += j.segments[i].size
	}
	return n
}

// BytesWritten returns how many bytes have been written since Start.
func (j *Journal) BytesWritten() int64 { return j.bytesWritten.Load() }

// Flush ends a batch: under Always, the operations appended so far are synced soon. It does not
// wait.
func (j *Journal) Flush() {
	if j.opt.Policy == Always {
		j.Sequencer.Flush()
	}
}

// DropBefore removes the segments whose operations all have LSNs of at most lsn. Call it with the
// LSN of the oldest .cdb file that is kept.
func (j *Journal) DropBefore(lsn uint64) error {
	for {
		j.mu.Lock()
		if len(j.segments) < 2 || j.segments[1].first > lsn+1 {
			j.mu.Unlock()
			return nil
		}
		name := j.segments[0].name
		j.mu.Unlock()
		if err := j.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dropping a segment: %w", err)
		}
		j.mu.Lock()
		j.segments = slices.Delete(j.segments, 0, 1)
		j.mu.Unlock()
	}
}
