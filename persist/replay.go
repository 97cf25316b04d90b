package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Recovery says what Replay has found.
type Recovery struct {
	Last       uint64 // LSN of the last operation, or that from which it was to replay if there is none later
	Operations int    // replayed
	Bytes      int64  // of their payloads
	Segments   int    // read

	Quarantined []string // segments whose headers are damaged, which Options.Repair has set aside

	// Truncation is what Start will cut off, or set aside: a tail whose writing was cut short, or with
	// Options.Repair what is damaged. nil: nothing.
	Truncation *Truncation
}

// Truncation is the part of a journal that could not be replayed.
type Truncation struct {
	File    string
	Offset  int64  // in bytes, of the first that is left out
	Bytes   int64  // left out, in this file and those after it
	LSN     uint64 // the first that is missing
	What    string
	Damaged bool // not a torn tail: it was on disk once

	Operations int      // that were recognised in what is left out, by the heads of their records
	SavedAs    []string // by Start: files with what is left out; none: it was not kept, see Unkept
	SaveErr    error    // why it was not kept; nil: it was
}

// String tells of it in one line.
func (c *Truncation) String() string {
	how := "torn tail"
	if c.Damaged {
		how = "damage"
	}
	return fmt.Sprintf(
		"%s in %s at byte %d: %d bytes from LSN %d on are lost, with %d operations or more: %s",
		how,
		c.File,
		c.Offset,
		c.Bytes,
		c.LSN,
		c.Operations,
		c.What,
	)
}

// recovered is what Start needs to know of the segments.
type recovered struct {
	last  uint64      // LSN in the journal, or that was replayed from
	keep  int         // how many segments hold what is kept
	cutAt int64       // the length that the last of these is to have, -1 as it is
	cut   *Truncation // what is lost by that; nil: nothing
}

// Replay calls fn for the operations with LSNs above after, in order and without a gap. Their bytes
// are good until fn returns; an operation without any says only that its numbers are taken. It ends
// before the first record that cannot be read if that was cut short in writing.
//
// Errors: ErrMismatch if the journal begins above after+1; ErrDamaged, with file and offset, if
// something was on disk and is not any more, unless Options.Repair; fn's.
func (j *Journal) Replay(after uint64, fn func(lsn, n uint64, op []byte) error) (Recovery, error) {
	p := replay{j: j, after: after, fn: fn, info: Recovery{Last: after, Quarantined: j.aside}}
	state := &recovered{last: after, cutAt: -1, keep: len(j.segments)}
	first := p.firstSegment()
	if first < 0 {
		s := j.segments[0]
		return p.info, fmt.Errorf(
			"%w: %s, the journal's first segment, begins at LSN %d, and %s ends at %d: what was between is missing",
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
			state.keep, state.cutAt, state.cut = i+1, at, p.info.Truncation
			break
		}
	}
	if p.next > 0 {
		state.last = max(after, p.next-1)
	}
	p.info.Last = state.last
	j.found = state
	return p.info, nil
}

// replay is one Replay.
type replay struct {
	j     *Journal
	after uint64
	fn    func(lsn, n uint64, op []byte) error
	next  uint64 // the LSN that must come next
	info  Recovery
}

// firstSegment returns the index of the segment to begin with: the last that begins at after+1 or
// before; -1 if there are segments, and none does.
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
		return len(p.j.segments) - min(len(p.j.segments), 1) // a torn one is to be removed
	}
	return first
}

// segment replays one segment. what is not "" if it ends early: at is where, and p.info.Cut says
// why.
func (p *replay) segment(s segment, i int) (at int64, what string, err error) {
	r, err := readSegment(p.j.fs, s)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = r.file.Close() }()
	if p.info.Segments++; p.next != 0 && s.first != p.next {
		what := fmt.Sprintf("the segment begins at LSN %d where %d was expected", s.first, p.next)
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
			return r.at, what, nil // they were reserved
		}
		if what != "" {
			damaged := i < len(p.j.segments)-1 || p.closed() // a segment is on disk before the next is made
			return r.at, what, p.stopped(r, i, r.at, what, damaged)
		}
		if err := p.record(r, &h, payload); err != nil {
			return 0, "", err
		}
		p.next = r.next
	}
}

// closed says whether the journal was closed behind what comes next. A data file that holds all up
// to the end in order is no proof of that: a server without a journal may have written it, and left
// the torn tail of one before.
func (p *replay) closed() bool { return p.next <= p.j.opt.ended && p.after < p.j.opt.ended }

// stopped notes where the replay ends; it returns an error if it must not end there.
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

// operationsIn returns how many operations can be recognised in a segment that is not replayed.
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

// record gives the operations of one record to fn, but for those that are not wanted.
func (p *replay) record(r *segmentReader, h *recordHeader, payload []byte) error {
	if r.next <= p.after+1 {
		return nil
	}
	at := r.at - int64(h.length)
	return operations(payload, h.lsn, func(lsn, n uint64, op []byte) error {
		if lsn+n <= p.after+1 {
			return nil
		}
		if lsn <= p.after {
			return fmt.Errorf("%w: %s at byte %d: an operation has the LSNs %d to %d, and %s ends at %d, among them",
				ErrMismatch, r.name, at, lsn, lsn+n-1, p.j.dataFile(), p.after)
		}
		p.info.Operations++
		p.info.Bytes += int64(len(op))
		return p.fn(lsn, n, op)
	})
}

// dataFile returns what errors call the data file.
func (j *Journal) dataFile() string {
	if j.opt.DataFile == "" {
		return "the data file"
	}
	return j.opt.DataFile
}

// Quarantine renames all segments: the journal is empty then. It is for one that is not to be
// replayed, instead of Replay.
func (j *Journal) Quarantine() error {
	for _, s := range j.segments {
		if _, err := j.dropTail(s); err != nil {
			return err
		}
		j.aside = append(j.aside, s.name)
	}
	j.segments = nil
	return j.fs.SyncDir(j.dir)
}

// Start begins a new segment for the operations from LSN next on, after cutting what Replay has
// found to be torn, and starts the flusher. The numbers between the journal's last and next are
// skipped: the first record says that they are taken.
//
// Errors: those of the file system. NoRoom finds that there is no room; Refuse makes a journal of
// it that can be read.
//
// What is cut of a damaged journal is kept beside it, under names that end in ".damaged".
func (j *Journal) Start(next uint64) error {
	if err := j.prepare(next); err != nil {
		return err
	}
	go j.run()
	return nil
}

// prepare is Start without the flusher.
func (j *Journal) prepare(next uint64) error {
	switch {
	case j.found == nil:
		return errors.New("a journal is replayed before it is started")
	case next <= j.found.last:
		return fmt.Errorf("the journal has operations up to LSN %d, and was told to begin at %d", j.found.last, next)
	}
	if err := j.Probe(); err != nil {
		return err
	}
	if err := j.cutTail(); err != nil {
		return err
	}
	f := &j.flusher
	f.next, f.at, f.lastSync = next, -1, time.Now()
	f.synced, f.skipped = j.found.last, next-1-j.found.last
	j.written.Store(next - 1)
	j.durable.Store(next - 1)
	if err := j.begin(j.newest + 1); err != nil {
		return err
	}
	f.marked = true
	if j.opt.Policy != Always {
		if err := j.makeRoom(); err != nil {
			return err
		}
	}
	return nil
}

// Probe returns an error if there is no room for a segment: nothing is changed then.
func (j *Journal) Probe() error {
	name := joinName(j.dir, "probe")
	if err := j.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // a crash has left it
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

// probeBytes is as much as the smallest files take on a disk.
const probeBytes = 4096

// Fail is for a journal that cannot be started, since there is no room. The journal is broken
// from the beginning: nothing is written, and Err returns why.
func (j *Journal) Fail(why error) {
	if keep := min(j.found.keep, len(j.segments)); keep == 0 || syncFile(j.fs, j.segments[keep-1].name) == nil {
		j.written.Store(j.found.last)
		j.durable.Store(j.found.last)
	}
	j.fail(why)
	close(j.ended)
}

func syncFile(fsys FS, name string) error {
	f, err := fsys.Edit(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
