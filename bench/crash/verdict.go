package main

import (
	"fmt"
	"time"
)

// verdict is what a restart has shown.
type verdict struct {
	way     string    // of the end
	end     time.Time // of the server, or of the power
	since   time.Time // what was acknowledged after it may be lost; zero: nothing may
	unsaved bool      // since is that of the last save: there is no journal
	power   bool      // it was the power: see late

	acked  int
	lost   int           // acknowledged, and may not be lost
	within int           // acknowledged, lost, and may be
	oldest time.Duration // before the end, of these
	late   int           // acknowledged after the power was cut, and lost: see isLate
	notes  []string      // on what was lost
}

// windowBefore returns what since is if what was acknowledged within a window may be lost.
func windowBefore(end time.Time, window time.Duration) time.Time {
	if window == 0 {
		return time.Time{}
	}
	return end.Add(-window)
}

// isLate says whether something was acknowledged after the power was cut, which no machine does.
// This one goes on running, and Linux lets now and then an fdatasync succeed that is under way
// while the file system shuts down: a program of one loop that appends and syncs sees the same.
func (v *verdict) isLate(acked time.Time) bool {
	return v.power && v.since.IsZero() && acked.After(v.end)
}

// mayLose says whether what was acknowledged then may be lost.
func (v *verdict) mayLose(acked time.Time) bool {
	return v.isLate(acked) || !v.since.IsZero() && acked.After(v.since)
}

// lose counts a write that was acknowledged and is not there.
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
