package stats

import (
	"time"

	"cyberdb-fast/codec"
)

// statuses is above every status that there is.
const statuses = 64

// Recorder counts what one event loop executes. It belongs to that loop.
type Recorder struct {
	run      run           // the last requests of the present part, which are not in the rest yet
	commands [256]*command // by opcode; nil: not used
	touched  []*command    // by the present part
	tables   tableRows
}

// run is requests that are alike, one after the other. Most parts have one run: to count a request
// is to add to this one line of memory.
type run struct {
	n            int64
	op           codec.Opcode
	status       codec.Status
	tag          uint64
	in, out      uint64
	hits, misses uint64
}

// command is what is counted of one command.
type command struct {
	statuses          [statuses]uint64
	bytesIn, bytesOut uint64
	inPart            int64 // requests of the present part, whose latency is not known yet
	latency           *Histogram
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder { return &Recorder{tables: newTableRows()} }

// Request counts a request of the present part, with the bytes of its frames, the tag of its table,
// which may be NoTable, and how many keys it has found there and missed.
func (r *Recorder) Request(op codec.Opcode, status codec.Status, in, out int, tag uint64, hits, misses uint32) {
	u := &r.run
	if u.op != op || u.status != status || u.tag != tag {
		r.endRun()
		u.op, u.status, u.tag = op, status, tag
	}
	u.n++
	u.in += uint64(in)
	u.out += uint64(out)
	u.hits += uint64(hits)
	u.misses += uint64(misses)
}

// endRun counts the requests of the run.
func (r *Recorder) endRun() {
	u := &r.run
	if u.n == 0 {
		return
	}
	c := r.command(u.op)
	c.count(u.status, u.n, u.in, u.out)
	if c.inPart == 0 {
		r.touched = append(r.touched, c)
	}
	c.inPart += u.n
	if u.tag != NoTable {
		r.tables.count(u.tag, TableCounts{uint64(u.n), u.hits, u.misses})
	}
	u.n, u.in, u.out, u.hits, u.misses = 0, 0, 0, 0, 0
}

// EndPart ends the present part. Its requests have taken that long.
func (r *Recorder) EndPart(latency time.Duration) {
	r.endRun()
	for _, c := range r.touched {
		c.latency.Record(latency, c.inPart)
		c.inPart = 0
	}
	r.touched = r.touched[:0]
}

// Single counts a request that belongs to no part.
func (r *Recorder) Single(op codec.Opcode, status codec.Status, in, out int, latency time.Duration) {
	c := r.command(op)
	c.count(status, 1, uint64(in), uint64(out))
	c.latency.Record(latency, 1)
}

// Table counts a use of the table with a tag by a request that belongs to no part.
func (r *Recorder) Table(tag uint64, hits, misses uint32) {
	r.tables.count(tag, TableCounts{1, uint64(hits), uint64(misses)})
}

func (r *Recorder) command(op codec.Opcode) *command {
	c := r.commands[op]
	if c == nil {
		c = &command{latency: NewHistogram()}
		r.commands[op] = c
	}
	return c
}

func (c *command) count(status codec.Status, n int64, in, out uint64) {
	c.statuses[status%statuses] += uint64(n)
	c.bytesIn += in
	c.bytesOut += out
}

// Copy is what a recorder had counted at one moment.
type Copy struct {
	commands [256]*command
	tables   []tableRow // those that were used; the first counts what has no place of its own
}

// Copy copies what is counted.
func (r *Recorder) Copy() *Copy {
	r.endRun()
	c := &Copy{tables: r.tables.used()}
	for op, from := range r.commands {
		if from != nil {
			own := *from
			own.latency = from.latency.Copy()
			c.commands[op] = &own
		}
	}
	return c
}
