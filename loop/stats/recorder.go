package stats

import (
	"time"

	"cyberdb-fast/codec"
)

// statuses is above every status that there is.
const statuses = 64

// Recorder counts what one event loop executes. It belongs to that loop.
type Recorder struct {
	commands [256]*command // by opcode; nil: not used
	touched  []*command    // by the present part
	tables   tableRows
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

// Request counts a request of the present part, with the bytes of its frames.
func (r *Recorder) Request(op codec.Opcode, status codec.Status, in, out int) {
	c := r.count(op, status, in, out)
	if c.inPart++; c.inPart == 1 {
		r.touched = append(r.touched, c)
	}
}

// EndPart ends the present part. Its requests have taken that long.
func (r *Recorder) EndPart(latency time.Duration) {
	for _, c := range r.touched {
		c.latency.Record(latency, c.inPart)
		c.inPart = 0
	}
	r.touched = r.touched[:0]
}

// Single counts a request that belongs to no part.
func (r *Recorder) Single(op codec.Opcode, status codec.Status, in, out int, latency time.Duration) {
	r.count(op, status, in, out).latency.Record(latency, 1)
}

func (r *Recorder) count(op codec.Opcode, status codec.Status, in, out int) *command {
	c := r.commands[op]
	if c == nil {
		c = &command{latency: NewHistogram()}
		r.commands[op] = c
	}
	c.statuses[status%statuses]++
	c.bytesIn += uint64(in)
	c.bytesOut += uint64(out)
	return c
}

// Table counts a use of the table with a tag, and how many keys it has found and missed.
func (r *Recorder) Table(tag uint64, hits, misses uint32) { r.tables.count(tag, hits, misses) }

// Copy is what a recorder had counted at one moment.
type Copy struct {
	commands [256]*command
	tables   []tableRow // those that were used; the first counts what has no place of its own
}

// Copy copies what is counted.
func (r *Recorder) Copy() *Copy {
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
