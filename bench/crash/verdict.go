package main

import (
	"fmt"
	"time"
)

// verdict is the result of a restart.
type verdict struct {
	way     string    // of the end
	end     time.Time // of the server, or of the power
	since   time.Time // writes acknowledged after it may be lost; zero: none may
	unsaved bool      // since is that of the last save: there is no journal
	power   bool      // a power cut: see late

	acked  int
	lost   int           // acknowledged, and not allowed to be lost
	within int           // acknowledged, and allowed to be lost
	oldest time.Duration // before the end, of these
	late   int           // acknowledged after the power was cut, and lost: see isLate
	notes  []string      // about losses
}

// windowBefore returns the value of since if the writes acknowledged within a window may be lost.
func windowBefore(end time.Time, window time.Duration) time.Time {
	if window == 0 {
		return time.Time{}
	}
	return end.Add(-window)
}

// isLate reports whether a write was acknowledged after the power was cut. A real power cut stops
// the machine; this one keeps running, and Linux sometimes lets an fdatasync succeed that is in
// progress while the file system shuts down. A program with one loop that appends and syncs sees
// the same.
func (v *verdict) isLate(acked time.Time) bool {
	return v.power && v.since.IsZero() && acked.After(v.end)
}

// mayLose reports whether a write acknowledged then may be lost.
func (v *verdict) mayLose(acked time.Time) bool {
	return v.isLate(acked) || !v.since.IsZero() && acked.After(v.since)
}

// lose counts an acknowledged write that is missing.
func (v *verdict) lose(acked time.Time) {
	switch {
	case v.isLate(acked):
		v.late++
	case v.mayLose(acked):
		v.within++
		v.oldest = max(v.oldest, v.end.Sub(acked))
	default:
		v.lost++
		v.note("one %v before the end", v.end.Sub(acked))
	}
}

// mostDetails is how many notes a verdict has.
const mostDetails = 10

func (v *verdict) note(format string, args ...any) {
	if len(v.notes) < mostDetails {
		v.notes = append(v.notes, fmt.Sprintf(format, args...))
	}
}
