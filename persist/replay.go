package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Recovery is the result of Replay.
type Recovery struct {
	Last       uint64 // LSN of the last operation; that before the first one to be replayed if there is none
	Time       int64  // the highest of segments and of what was read, in milliseconds since 1970 UTC; 0: unknown
	Operations int    // replayed
	Bytes      int64  // of their payloads
	Segments   int    // read

	Quarantined []string // segments with damaged headers that Options.Repair has quarantined

	// Truncation is what Start will cut off or quarantine: a torn tail, or the damaged part if
	// Options.Repair is set. nil: nothing.
	Truncation *Truncation
}

// Truncation is the part of a journal that could not be replayed.
type Truncation struct {
	File    string
	Offset  int64  // of the first byte
	Bytes   int64  // in this file and those after it
	LSN     uint64 // the first one that is missing
	What    string
	Damaged bool // it was once on disk; otherwise it is a torn tail

	Operations int      // that are recognizable in those bytes, by the headers of their records
	SavedAs    []string // set by Start: files with the truncated bytes; empty: not saved, see SaveErr
	SaveErr    error    // why they were not saved; nil: they were
}

// String describes it in one line.
func (c *Truncation) String() string {
	how := "torn tail"
	if c.Damaged {
		how = "damage"
	}
	return fmt.Sprintf(
		"%s in %s at byte %d: %d bytes from LSN %d on are lost, with at least %d operations: %s",
		how,
		c.File,
		c.Offset,
		c.Bytes,
		c.LSN,
		c.Operations,
		c.What,
	)
}

// replayState is what Start needs to know of the segments.
type replayState struct {
	last       uint64      // LSN in the journal, or that after which the replay began
	time       int64       // Recovery.Time
	keep       int         // number of segments with content to keep
	truncateAt int64       // the new length of the last of these, -1: unchanged
	truncation *Truncation // what that loses; nil: nothing
}

// Replay calls fn for the operations with LSNs above after, in order and without a gap. Their bytes
// are valid until fn returns. Replay ends before the first torn record.
//
// Errors: ErrMismatch if the journal begins above after+1; ErrDamaged, with file and offset, if
// something that was on disk is missing or damaged, unless Options.Repair is set; those of fn.
func (j *Journal) Replay(after uint64, fn func(Operation) error) (Recovery, error) {
	p := replay{j: j, after: after, fn: fn, info: Recovery{Last: after, Quarantined: j.quarantined}}
	state := &replayState{last: after, truncateAt: -1, keep: len(j.segments)}
	first := p.firstSegment()
	if first < 0 {
		s := j.segments[0]
		return p.info, fmt.Errorf(
			"%w: the journal's first segment, %s, begins at LSN %d, but %s ends at %d: the operations in "+
				"between are missing",
			ErrMismatch,
			s.name,
			s.first,
			j.dataFile(),
			after,
		)
	}
	for i := first; i < len(j.segments); i++ {
		s := j.segments[i]
		if s.torn {
			state.keep = i
			break
		}
		at, what, err := p.segment(s, i)
		if err != nil {
			return p.info, err
		}
		if what != "" {
			state.keep, state.truncateAt, state.truncation = i+1, at, p.info.Truncation
			break
		}
	}
	if p.next > 0 {
		state.last = max(after, p.next-1)
	}
	for _, s := range j.segments {
		p.info.Time = max(p.info.Time, s.time)
	}
	p.info.Last, state.time = state.last, p.info.Time
	j.replayed = state
	return p.info, nil
}

// replay is one Replay.
type replay struct {
	j     *Journal
	after uint64
	fn    func(Operation) error
	next  uint64 // the next LSN expected
	info  Recovery
}

// firstSegment returns the index of the first segment to read: the last one that begins at after+1
// or before; -1 if there are only later ones.
func (p *replay) firstSegment() int {
	first := -1
	usable := false
	for i, s := range p.j.segments {
		if s.torn {
			continue
		}
		usable = true
		if s.first <= p.after+1 {
			first = i
		}
	}
	if !usable {
		return len(p.j.segments) - min(len(p.j.segments), 1) // a torn one will be removed
	}
	return first
}

// segment replays one segment. If it ends early, what is not "", at is the offset, and
// p.info.Truncation has the details.
func (p *replay) segment(s segment, i int) (at int64, what string, err error) {
	r, err := readSegment(p.j.fs, s)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = r.file.Close() }()
	if p.info.Segments++; p.next != 0 && s.first != p.next {
		what := fmt.Sprintf("the segment begins at LSN %d instead of %d", s.first, p.next)
		return 0, what, p.stopped(r, i, 0, what, true)
	}
	p.next = s.first
	for {
		h, payload, what, err := r.record()
		if err != nil {
			return 0, "", err
		}
		if what == endOfSegment {
			return 0, "", nil
		}
		if what == endInZeros && i == len(p.j.segments)-1 && r.size-r.at <= reserveBytes {
			return r.at, what, nil // reserved space
		}
		if what != "" {
			// a segment is on disk before the next one is created
			damaged := i < len(p.j.segments)-1 || p.closed() || what == unparsable
			return r.at, what, p.stopped(r, i, r.at, what, damaged)
		}
		if err := p.record(r, &h, payload); err != nil {
			return 0, "", err
		}
		p.next = r.next
	}
}

// closed reports whether the journal was closed after the next expected LSN. A data file that holds
// everything up to a clean shutdown is no proof of that: a server without a journal may have
// written it, and left the torn tail of an earlier one.
func (p *replay) closed() bool { return p.next <= p.j.opt.ended && p.after < p.j.opt.ended }

// stopped records where the replay ends. It returns an error if it must not end there.
func (p *replay) stopped(r *segmentReader, i int, at int64, what string, damaged bool) error {
	rest, err := r.rest()
	if err != nil {
		return err
	}
	damaged = damaged || rest.synced
	if damaged && !p.j.opt.Repair {
		return &DamageError{File: r.name, Offset: at, Block: -1, What: what}
	}
	cut := &Truncation{
		File:       r.name,
		Offset:     at,
		Bytes:      r.size - at,
		LSN:        p.next,
		What:       what,
		Damaged:    damaged,
		Operations: rest.operations,
	}
	for _, s := range p.j.segments[i+1:] {
		cut.Bytes += s.size
		n, err := p.j.operationsIn(s)
		if err != nil {
			return err
		}
		cut.Operations += n
	}
	p.info.Truncation = cut
	return nil
}

// operationsIn returns how many operations are recognizable in a segment that is not replayed.
func (j *Journal) operationsIn(s segment) (int, error) {
	if s.torn {
		return 0, nil
	}
	r, err := readSegment(j.fs, s)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.file.Close() }()
	rest, err := r.rest()
	return rest.operations, err
}

// record passes the operations of one record to fn, except those that are not wanted.
func (p *replay) record(r *segmentReader, h *recordHeader, payload []byte) error {
	at := r.at - int64(h.length)
	var op Operation
	for ops := r.operations(payload, h); ops.left() > 0; {
		ops.next(&op)
		p.info.Time = max(p.info.Time, op.Time) // also of those that the .cdb file has: it may be older
		if op.LSN+op.N <= p.after+1 {
			continue
		}
		if op.LSN <= p.after {
			return fmt.Errorf("%w: %s at byte %d: an operation has the LSNs %d to %d, but %s ends at %d, between them",
				ErrMismatch, r.name, at, op.LSN, op.LSN+op.N-1, p.j.dataFile(), p.after)
		}
		p.info.Operations++
		p.info.Bytes += int64(len(op.Request))
		if err := p.fn(op); err != nil {
			return err
		}
	}
	return nil
}

// dataFile returns the name of the data file for error messages.
func (j *Journal) dataFile() string {
	if j.opt.DataFile == "" {
		return "the data file"
	}
	return j.opt.DataFile
}

// Quarantine renames all segments, which leaves the journal empty. It replaces Replay for a journal
// that must not be replayed.
func (j *Journal) Quarantine() error {
	for _, s := range j.segments {
		if _, err := j.quarantineSegment(s); err != nil {
			return err
		}
		j.quarantined = append(j.quarantined, s.name)
	}
	j.segments = nil
	return j.fs.SyncDir(j.dir)
}

// Start removes what Replay has found to be torn, begins a new segment for the operations from LSN
// next on, and starts the sequencer. It skips the LSNs between the journal's last one and next: the
// first record says that they are taken. now is the time of the store, in milliseconds since 1970
// UTC; a later time in the journal takes its place.
//
// Errors: those of the file system. If NoRoom is true for the error, call Fail, which allows
// reading.
//
// What is cut off a damaged journal is kept in the same directory, under names that end in
// ".damaged".
func (j *Journal) Start(next uint64, now int64) error {
	if err := j.prepare(next, now); err != nil {
		return err
	}
	j.Sequencer.Start()
	return nil
}

// prepare is Start without the sequencer's goroutine.
func (j *Journal) prepare(next uint64, now int64) error {
	switch {
	case j.replayed == nil:
		return errors.New("the journal must be replayed before it is started")
	case next <= j.replayed.last:
		return fmt.Errorf("the journal has operations up to LSN %d, so it cannot begin at %d", j.replayed.last, next)
	}
	if err := j.Probe(); err != nil {
		return err
	}
	if err := j.truncateTail(); err != nil {
		return err
	}
	f := &j.flusher
	f.next, f.at, f.time, f.lastSync = next, -1, max(now, j.replayed.time), time.Now()
	f.synced, f.settled, f.skipped = j.replayed.last, next-1, next-1-j.replayed.last
	j.written.Store(next - 1)
	if err := j.begin(j.newest + 1); err != nil {
		return err
	}
	f.marked = true
	if j.opt.Policy != Always {
		if err := j.makeRoom(); err != nil {
			return err
		}
	}
	j.Begin(next, journalFile{j})
	return nil
}

// Probe returns an error if there is no space for a segment. It changes nothing.
func (j *Journal) Probe() error {
	name := joinName(j.dir, "probe")
	if err := j.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a crash
		return err
	}
	f, err := j.fs.Create(name)
	if err != nil {
		return err
	}
	if _, err = f.Write(make([]byte, probeBytes)); err == nil {
		_, err = j.allocateFirst(f, probeBytes)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), j.fs.Remove(name))
}

// probeBytes is what the smallest files take on a disk.
const probeBytes = 4096

// Fail is for a journal that cannot be started because the disk is full. The journal is broken from
// the start: nothing is written, and Err returns why.
func (j *Journal) Fail(why error) {
	if keep := min(j.replayed.keep, len(j.segments)); keep == 0 || syncNamed(j.fs, j.segments[keep-1].name) == nil {
		j.written.Store(j.replayed.last)
		j.Begin(j.replayed.last+1, nil)
	}
	j.Sequencer.Fail(why)
}

func syncNamed(fsys FS, name string) error {
	f, err := fsys.Edit(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
