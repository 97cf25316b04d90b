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
)

// Policy says when the journal is synced.
type Policy uint8

// The policies.
const (
	// once a second: a power cut takes the last second and what one sync lasts, a killed process
	// the last 10 ms
	EverySecond Policy = iota
	Always             // after each write: what is acknowledged is on disk
	Never              // when the system does so; at the end of a segment, and for who asks by RequestSync
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
	// a record is closed once its payload has as many; one operation may be larger
	recordBytes         = 256 << 10
	writeBytes          = 1 << 20 // what is given to the file at once
	maxOperationBytes   = 1 << 30
	maxOperationNumbers = 1 << 32

	writeDelay = 10 * time.Millisecond // how long what is not waited for may stay in memory
	syncDelay  = time.Second           // of EverySecond
	markDelay  = time.Second           // after the last write, until a mark says that all of it is on disk
)

// Options are the settings of a journal. The zero value is ready.
type Options struct {
	Policy       Policy
	SegmentBytes int64  // a segment is closed once it has as many; 0 is 64 MiB
	Database     ID     // that the journal must be of; zero: that of its segments, or a new one
	DataFile     string // the .cdb file that says so: its name is for errors only
	KeptBytes    int    // an operation of more bytes is kept until it is written, not copied; 0 is 2 MiB
	Repair       bool   // replay up to damage, and set aside what comes after, instead of refusing

	// InFlightBytes is how many bytes operations that are not announced may have, together, between
	// HasRoom and Append.
	InFlightBytes int64

	// OnFull, if not nil, is called on the flusher's goroutine, or by Close, when no more room can be reserved,
	// once, and with nil when it can be again. It must not block.
	OnFull func(err error)
	// OnSync, if not nil, is called on the flusher's goroutine, or by Close, after each sync, and once when the
	// journal breaks. It must not block.
	OnSync func()
	// OnSegmentErr, if not nil, is called on the flusher's goroutine, or by Close, when the next segment cannot be
	// begun, once, and with nil when that can be done again. It must not block.
	OnSegmentErr func(err error)

	// a server has ended in order with this operation, 0 if that is not known: nothing up to it can
	// be torn
	ended uint64
	check func() error // whether a start will find what else it needs; nil: nothing else
}

// Journal is the write-ahead log in one directory: segments of records of operations, in the order
// of their LSNs, without a gap.
//
// Open it, Replay it, Start it; from then on writers append to Buffers, and the journal's flusher
// collects them all, writes what has no gap before it, and syncs by the policy. Methods may be
// called from any goroutine once Start has returned.
type Journal struct {
	// constant after Start
	fs     FS
	dir    string
	opt    Options
	found  *recovered // what Replay has found; nil before
	aside  []string   // segments that were set aside by OpenJournal
	newest uint64     // the highest number of a segment that OpenJournal has found
	stop   chan struct{}
	ended  chan struct{}
	kick   chan struct{} // something was appended
	urgent chan struct{} // something is waited for

	armed    atomic.Bool   // kick has been sent since the last round
	want     atomic.Uint64 // to be synced whatever the policy; Demand raises it
	written  atomic.Uint64 // the last LSN given to the file; the flusher writes it
	durable  atomic.Uint64 // the last LSN that is on disk; the flusher writes it
	broken   atomic.Bool   // err is set; the flusher, or Append, writes it
	noRoom   atomic.Bool   // fullErr is set; the flusher writes it
	appended atomic.Int64  // bytes ever, as they take room on the disk at most; the writers write it
	taken    atomic.Int64  // of these, written to the file; the flusher writes it
	assured  atomic.Int64  // of these, those that have room on the disk; the flusher writes it
	grown    atomic.Int64  // bytes written to files since Start

	mu       sync.Mutex
	changed  *sync.Cond // durable or err has changed
	err      error      // guarded by mu
	beginErr error      // why the next segment cannot be begun; guarded by mu
	fullErr  error      // why no more room can be reserved; guarded by mu
	segments []segment  // guarded by mu; the last is being written, its size is kept by the flusher
	buffers  []*Buffer  // guarded by mu
	free     [][]byte   // chunks to be used again; guarded by mu
	closing  sync.Once

	flusher flusher // owned by the flusher's goroutine
}

// OpenJournal opens the journal in a directory, which is made if it is missing, and reads the
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
		stop: make(
			chan struct{},
		),
		ended:  make(chan struct{}),
		kick:   make(chan struct{}, 1),
		urgent: make(chan struct{}, 1),
	}
	j.changed = sync.NewCond(&j.mu)
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
			if _, err := setAside(j.fs, s.name); err != nil {
				return err
			}
			j.aside = append(j.aside, s.name)
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
				What:  "the segment's header is not whole, and there is a later segment",
			}
		case i > 0 && !s.torn && s.first < j.segments[i-1].first:
			return &DamageError{File: s.name, Block: -1, What: "the segment begins before the one before it"}
		}
	}
	return nil
}

// identify finds out which database the journal is of.
func (j *Journal) identify() error {
	id, from := j.opt.Database, j.dataFile()
	for _, s := range j.segments {
		switch {
		case s.torn:
		case id == ID{}:
			id, from = s.id, s.name
		case s.id != id:
			return fmt.Errorf("%w: %s is of database %v, %s of %v", ErrMismatch, s.name, s.id, from, id)
		}
	}
	if id == (ID{}) {
		id = NewID()
	}
	j.opt.Database = id
	return nil
}

// Database returns the id of the database that the journal is of.
func (j *Journal) Database() ID { return j.opt.Database }

// Dir returns the directory.
func (j *Journal) Dir() string { return j.dir }

// Empty says whether there is no segment.
func (j *Journal) Empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !slices.ContainsFunc(j.segments, func(s segment) bool { return !s.torn })
}

// Durable returns the last LSN up to which all operations are on disk.
func (j *Journal) Durable() uint64 { return j.durable.Load() }

// Written returns the last LSN up to which all operations have been given to the system: they
// outlive the process.
func (j *Journal) Written() uint64 { return j.written.Load() }

// LastLSN returns the LSN of the last operation in the segments. It is to be called after Close.
func (j *Journal) LastLSN() uint64 { return j.flusher.next - 1 - j.flusher.skipped }

// Err returns why the journal is broken, nil if it is not. Nothing is tried again: what was not
// durable before stays so, and what is appended is dropped.
func (j *Journal) Err() error {
	if !j.broken.Load() {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// SegmentErr returns why the next segment cannot be begun, nil if it could be when that was last due.
// The one before grows meanwhile, and nothing is lost.
func (j *Journal) SegmentErr() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.beginErr
}

// Pending returns how many bytes have been appended and not yet written: what a crash of the
// process takes. Append never waits; whoever calls it is to hold back while this is more than it
// likes to keep in memory.
func (j *Journal) Pending() int64 {
	taken := j.taken.Load() // first: it only grows, and never beyond what was appended
	return max(j.appended.Load()-taken, 0)
}

// Size returns how many bytes the segments have.
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
func (j *Journal) BytesWritten() int64 { return j.grown.Load() }

// Flush says that a turn is over: under Always, what was appended is now waited for. It does not
// wait.
func (j *Journal) Flush() {
	if j.opt.Policy == Always && j.armed.Load() {
		signal(j.urgent)
	}
}

// RequestSync has all up to an LSN synced soon, whatever the policy. It does not wait.
func (j *Journal) RequestSync(lsn uint64) {
	for {
		want := j.want.Load()
		if want >= lsn {
			break
		}
		if j.want.CompareAndSwap(want, lsn) {
			break
		}
	}
	if j.durable.Load() < lsn {
		signal(j.urgent)
	}
}

// Sync returns when all up to an LSN is on disk, or the error that keeps it from that. All these
// operations must have been appended, or be about to.
func (j *Journal) Sync(lsn uint64) error {
	j.RequestSync(lsn)
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.durable.Load() < lsn && j.err == nil {
		j.changed.Wait()
	}
	if j.durable.Load() >= lsn {
		return nil
	}
	return j.err
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// fail breaks the journal, once.
func (j *Journal) fail(err error) {
	j.mu.Lock()
	if j.err == nil {
		j.err = err
		j.broken.Store(true)
	}
	j.changed.Broadcast()
	j.mu.Unlock()
}

// DropBefore removes the segments in which every operation has an LSN of at most lsn.
//
// It is to be called with the LSN of the older of the .cdb files that are kept.
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

// Close writes and syncs what has been appended and ends the journal. Nothing may be appended any
// more.
//
// Errors: why the journal is broken; that an operation is missing whose LSN was drawn.
func (j *Journal) Close() error {
	j.closing.Do(func() {
		close(j.stop)
		<-j.ended
		if j.flusher.file != nil { // else it was refused
			j.guard(j.lastRound)
		}
	})
	if err := j.Err(); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}
