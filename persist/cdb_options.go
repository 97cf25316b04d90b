package persist

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// TableOptions are what a dict has besides its entries. The numbers are at least 0 and below 2^56.
type TableOptions struct {
	TTL        int64 // milliseconds that an entry without a deadline lives after its last write; 0: for ever
	Idle       int64 // milliseconds that an entry lives after its last use; 0: for ever
	MaxEntries int64 // 0: no limit
	MaxBytes   int64 // 0: no limit
	Policy     uint8 // at the limit; at most maxPolicy
	// Since is when TTL was set for a table that had none, in milliseconds since 1970 UTC; 0: at
	// its creation. Entries count as written then or later.
	Since int64
	// Horizon is an LSN: entries without a deadline have expired if their version is not above it.
	Horizon uint64
}

// Mark says when LSNs were assigned: those up to LSN at Time or before, in milliseconds since 1970
// UTC.
type Mark struct {
	Time int64
	LSN  uint64
}

// The tags of a table's options. On disk: do not change. A reader must know even tags, and may skip
// odd ones.
const (
	tagOptions = 2 // TableOptions
	tagMarks   = 3 // Table.Marks; not in the index
	tagQueue   = 4 // Queue

	maxPolicy = 3
	maxMarks  = 4096 // of a table
	maxNumber = 1<<56 - 1
)

// appendOptions appends the options of a table that a reader must know.
func appendOptions(dst []byte, o *TableOptions) []byte {
	if *o == (TableOptions{}) {
		return dst
	}
	var b []byte
	for _, n := range [...]int64{
		o.TTL, o.Idle, o.MaxEntries, o.MaxBytes, int64(o.Policy), o.Since, int64(o.Horizon),
	} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return appendBytes(append(dst, tagOptions), b)
}

// appendMarks appends the marks of a table, which ascend: each as the difference from the one
// before.
func appendMarks(dst []byte, marks []Mark) []byte {
	if len(marks) == 0 {
		return dst
	}
	var b []byte
	var last Mark
	for _, m := range marks {
		b = binary.AppendUvarint(b, uint64(m.Time-last.Time))
		b = binary.AppendUvarint(b, m.LSN-last.LSN)
		last = m
	}
	return appendBytes(append(dst, tagMarks), b)
}

// check returns an error if a Writer cannot write the options or the marks.
func (t *Table) check() error {
	o := &t.Options
	if t.Kind != Dict && (*o != (TableOptions{}) || len(t.Marks) > 0) {
		return fmt.Errorf("table %q is a %v and has options", t.Name, t.Kind)
	}
	if min(o.TTL, o.Idle, o.MaxEntries, o.MaxBytes, o.Since) < 0 || o.Policy > maxPolicy ||
		max(o.TTL, o.Idle, o.MaxEntries, o.MaxBytes, o.Since) > maxNumber || o.Horizon > maxNumber {
		return fmt.Errorf("table %q has impossible options: %+v", t.Name, *o)
	}
	if err := t.checkQueue(); err != nil {
		return err
	}
	if len(t.Marks) > maxMarks {
		return fmt.Errorf("table %q has %d marks, more than %d", t.Name, len(t.Marks), maxMarks)
	}
	var last Mark
	for _, m := range t.Marks {
		if m.Time < last.Time || m.LSN < last.LSN || m.Time > maxNumber || m.LSN > maxNumber {
			return fmt.Errorf("the marks of table %q do not ascend: %+v after %+v", t.Name, m, last)
		}
		last = m
	}
	return nil
}

// options reads the options of a table. A reader skips unknown ones with odd tags, and refuses a
// table with one of an even tag.
func (p *payloadParser) options(t *Table) {
	options := parser{b: p.bytes(maxBlockBytes)}
	for least := uint64(0); options.left() > 0; {
		tag := options.uvarint()
		of := parser{b: options.bytes(maxBlockBytes)}
		switch {
		case options.bad || tag < least:
			p.b, p.bad = nil, true
			return
		case tag == tagOptions:
			p.knownOptions(t, &of)
		case tag == tagMarks:
			of.marks(t)
		case tag == tagQueue:
			p.queue(t, &of)
		case tag%2 == 0 && p.unknown == "":
			p.unknown = fmt.Sprintf("unknown option %d", tag)
		}
		if of.bad {
			p.b, p.bad = nil, true
			return
		}
		least = tag + 1
	}
}

// knownOptions reads the option with tagOptions.
func (p *payloadParser) knownOptions(t *Table, of *parser) {
	number := func() int64 {
		n := of.uvarint()
		of.bad = of.bad || n > maxNumber
		return int64(n)
	}
	o := TableOptions{TTL: number(), Idle: number(), MaxEntries: number(), MaxBytes: number()}
	policy := number()
	o.Policy, o.Since, o.Horizon = uint8(policy), number(), uint64(number())
	of.bad = of.bad || t.Kind != Dict
	switch {
	case of.bad || p.unknown != "":
	case of.left() > 0:
		p.unknown = "unknown fields in its options"
	case policy > maxPolicy:
		p.unknown = fmt.Sprintf("unknown policy %d", policy)
	default:
		t.Options = o
	}
}

// marks reads the marks of a table.
func (p *parser) marks(t *Table) {
	var last Mark
	for p.left() > 0 && !p.bad {
		time, lsn := p.uvarint(), p.uvarint()
		if time > uint64(maxNumber-last.Time) || lsn > maxNumber-last.LSN {
			p.bad = true
		}
		last = Mark{last.Time + int64(time), last.LSN + lsn}
		t.Marks = append(t.Marks, last)
	}
	p.bad = p.bad || t.Kind != Dict || len(t.Marks) > maxMarks
}

// DeadlineOf returns the deadline of an entry of the table, with the table's default put in, in
// milliseconds since 1970 UTC; 0: none; Forever. saved is the time of the file (Stamp.SavedAt).
func (t *Table) DeadlineOf(e *Entry, saved int64) int64 {
	switch {
	case e.Deadline != 0:
		return e.Deadline
	case e.Version <= t.Options.Horizon:
		return 1 // it has passed
	case t.Options.TTL == 0:
		return 0
	}
	written := saved
	if i, _ := slices.BinarySearchFunc(t.Marks, e.Version, func(m Mark, version uint64) int {
		return cmp.Compare(m.LSN, version)
	}); i < len(t.Marks) {
		written = t.Marks[i].Time
	}
	return min(max(written, t.Options.Since)+t.Options.TTL, maxDeadline)
}

// SavedAt returns when the file was saved, in milliseconds since 1970 UTC; now if that is unknown.
func (s *Stamp) SavedAt(now time.Time) int64 {
	if saved := s.Created.UnixMilli(); saved > 0 {
		return saved
	}
	return now.UnixMilli()
}
