package main

import (
	"fmt"
	"time"
)

// verdict is what a restart has shown.
type verdict struct {
	end    time.Time     // of the server, or of the power
	window time.Duration // what was acknowledged in it, before the end, may be lost; 0: nothing may
	power  bool          // it was the power: see late

	acked  int
	lost   int           // acknowledged, and may not be lost
	within int           // acknowledged, lost, and may be
	oldest time.Duration // before the end, of these
	late   int           // acknowledged after the power was cut, and lost: see isLate
	notes  []string      // on what was lost
}

// isLate says whether something was acknowledged after the power was cut, which no machine does. This one goes on running, and Linux lets now and then an
// fdatasync succeed that is under way while the file system shuts down: a program of one loop that appends and syncs sees the same.
func (v *verdict) isLate(acked time.Time) bool { return v.power && v.window == 0 && acked.After(v.end) }

// mayLose says whether what was acknowledged then may be lost.
func (v *verdict) mayLose(acked time.Time) bool {
	return v.isLate(acked) || acked.After(v.end.Add(-v.window)) && v.window > 0
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

func (v *verdict) note(format string, args ...any) {
	v.notes = append(v.notes, fmt.Sprintf(format, args...))
}
