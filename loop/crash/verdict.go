package main

import (
	"fmt"
	"time"
)

// verdict is what a restart has shown.
type verdict struct {
	end    time.Time     // of the server, or of the power
	window time.Duration // what was acknowledged in it, before the end, may be lost; 0: nothing may

	acked  int
	lost   int           // acknowledged, and may not be lost
	within int           // acknowledged, lost, and may be
	oldest time.Duration // before the end, of these
	notes  []string      // on what was lost
}

// mayLose says whether what was acknowledged then may be lost.
func (v *verdict) mayLose(acked time.Time) bool {
	return acked.After(v.end.Add(-v.window)) && v.window > 0
}

// lose counts a write that was acknowledged and is not there.
func (v *verdict) lose(acked time.Time) {
	if v.mayLose(acked) {
		v.within++
		v.oldest = max(v.oldest, v.end.Sub(acked))
		return
	}
	v.lost++
}

func (v *verdict) note(format string, args ...any) {
	v.notes = append(v.notes, fmt.Sprintf(format, args...))
}
