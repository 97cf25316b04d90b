package govalue

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cyberdb-fast/codec/value"
)

// Zone is the tzinfo of a datetime or time; the zero Zone is none (naive).
type Zone struct {
	Aware        bool
	Offset       int32  // seconds east of UTC, rounded down
	OffsetMicros uint32 // microseconds to add to Offset; 0 but for odd zones
	// empty: a plain offset; "UTC"; an IANA key such as "Europe/Berlin"; or PlainZone and the name
	// of a plain offset; at most 255 bytes
	Name string
}

// FixedZone returns the aware zone of a plain offset; offsets reach to just below 24 hours either
// way.
func FixedZone(offset time.Duration) Zone {
	seconds, micros := floorDiv(offset.Microseconds(), microsPerSecond)
	return Zone{Aware: true, Offset: int32(seconds), OffsetMicros: uint32(micros)}
}

// micros is the whole offset from UTC in microseconds.
func (z Zone) micros() int64 { return int64(z.Offset)*microsPerSecond + int64(z.OffsetMicros) }

// zoneOf describes t's location at t, and whether t is the second instant with its wall-clock
// reading.
func zoneOf(t time.Time) (zone Zone, fold bool) {
	_, offset := t.Zone()
	zone = Zone{Aware: true, Offset: int32(offset)}
	name := t.Location().String()
	if name == "UTC" && offset == 0 {
		zone.Name = name
		return zone, false
	}
	loc := ianaLocation(name)
	if loc == nil {
		return zone, false
	}
	here := t.In(loc)
	if _, known := here.Zone(); known != offset { // a fixed zone that only bears the name
		return zone, false
	}
	zone.Name = name
	if start, _ := here.ZoneBounds(); !start.IsZero() {
		_, before := start.Add(-1).Zone()
		fold = t.Sub(start) < time.Duration(before-offset)*time.Second
	}
	return zone, fold
}

// location returns the time.Location for the zone at instant t.
func (z Zone) location(t time.Time) *time.Location {
	if (z.Name == "UTC" || z.Name == value.ZoneInfoUTC) && z.micros() == 0 {
		return time.UTC
	}
	if loc := ianaLocation(z.Name); loc != nil {
		if _, offset := t.In(loc).Zone(); offset == int(z.Offset) {
			return loc
		}
	}
	return time.FixedZone(strings.TrimPrefix(z.Name, value.PlainZone), int(z.Offset))
}

// maxZones bounds how many names are remembered; IANA has about 600.
const maxZones = 2048

// The zones looked up so far, by name; nil for names that are no zone.
var (
	ianaLocations sync.Map // string -> *time.Location
	ianaCount     atomic.Int32
)

// ianaLocation returns the zone called name in the machine's time zone database, nil if there is
// none.
func ianaLocation(name string) *time.Location {
	if name == "" || name == "Local" || name == "UTC" || strings.HasPrefix(name, value.PlainZone) ||
		!value.IsZoneName(name) {
		return nil
	}
	if loc, ok := ianaLocations.Load(name); ok {
		return loc.(*time.Location)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		loc = nil
	}
	if ianaCount.Add(1) <= maxZones {
		ianaLocations.Store(name, loc)
	} else {
		ianaCount.Add(-1)
	}
	return loc
}
