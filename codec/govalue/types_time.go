package govalue

import (
	"fmt"
	"time"

	"cyberdb-fast/codec/value"
)

const (
	microsPerSecond = 1_000_000
	secondsPerDay   = 86400
)

// DateTime is a datetime.datetime, kept complete: reading, fold and zone. Two DateTimes are the
// same exactly if == says so; whether they name the same instant is another question, see Time.
type DateTime struct {
	WallMicros int64 // microseconds from 1970-01-01 00:00 to the wall-clock reading, no zone applied
	Fold       bool  // the second of two equal readings, when clocks were set back
	Zone       Zone
}

// DateTimeOf returns the aware datetime of the instant t in its location: offset, the name of the
// zone if that is UTC or an IANA zone, fold. Nanoseconds below the microsecond and the monotonic
// reading are dropped. Errors: ErrOutOfRange outside the years 1 to 9999.
func DateTimeOf(t time.Time) (DateTime, error) {
	zone, fold := zoneOf(t)
	d := DateTime{
		WallMicros: t.Unix()*microsPerSecond + int64(t.Nanosecond()/1000) + zone.micros(),
		Fold:       fold,
		Zone:       zone,
	}
	if year := t.Year(); year < 1 || year > 9999 {
		return DateTime{}, fmt.Errorf("%w: year %d in a datetime", ErrOutOfRange, year)
	}
	return d, nil
}

// NaiveDateTime returns the naive datetime that t's wall clock reads; the location is dropped.
// Errors as DateTimeOf.
func NaiveDateTime(t time.Time) (DateTime, error) {
	_, offset := t.Zone()
	if year := t.Year(); year < 1 || year > 9999 {
		return DateTime{}, fmt.Errorf("%w: year %d in a datetime", ErrOutOfRange, year)
	}
	return DateTime{WallMicros: (t.Unix()+int64(offset))*microsPerSecond + int64(t.Nanosecond()/1000)}, nil
}

// Time returns the instant of an aware datetime, in its named zone if this machine knows it with
// the same offset, else in a fixed one of whole seconds. Errors: ErrWrongType for a naive datetime,
// which names no instant; see In.
func (d DateTime) Time() (time.Time, error) {
	if !d.Zone.Aware {
		return time.Time{}, fmt.Errorf("%w: a naive datetime names no instant", ErrWrongType)
	}
	t := time.UnixMicro(d.WallMicros - d.Zone.micros())
	return t.In(d.Zone.location(t)), nil
}

// In returns the instant at which a clock in loc shows d's reading; d's own zone is not looked at.
// Readings that loc skips or has twice are resolved as time.Date does.
func (d DateTime) In(loc *time.Location) time.Time {
	t := time.UnixMicro(d.WallMicros).UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), loc)
}

// Date is a datetime.date.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the date that t's wall clock shows.
func DateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{year, month, day}
}

// In returns the beginning of the day in loc.
func (d Date) In(loc *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, loc)
}

// ordinal is date.toordinal: 1 for 0001-01-01.
func (d Date) ordinal() (int32, error) {
	t := d.In(time.UTC)
	if DateOf(t) != d || d.Year < 1 || d.Year > 9999 {
		return 0, fmt.Errorf("%w: no date %d-%02d-%02d", ErrOutOfRange, d.Year, int(d.Month), d.Day)
	}
	return int32(t.Unix()/secondsPerDay + value.EpochOrdinal), nil
}

func dateOfOrdinal(n int32) (Date, error) {
	if n < 1 || n > value.MaxOrdinal {
		return Date{}, fmt.Errorf("%w: date ordinal %d", ErrOutOfRange, n)
	}
	return DateOf(time.Unix((int64(n)-value.EpochOrdinal)*secondsPerDay, 0).UTC()), nil
}

// Time is a datetime.time. SinceMidnight is what the clock shows, below 24 hours; what is below a
// microsecond is dropped.
type Time struct {
	SinceMidnight time.Duration
	Fold          bool
	Zone          Zone
}

// TimeDelta is a datetime.timedelta in normal form: Days from -999999999 to 999999999, Seconds
// below 86400, Micros below 1000000.
type TimeDelta struct {
	Days    int32
	Seconds uint32
	Micros  uint32
}

// TimeDeltaOf returns d as a timedelta; what is below a microsecond is cut off towards zero.
func TimeDeltaOf(d time.Duration) TimeDelta {
	micros := d.Microseconds()
	days, rest := floorDiv(micros, secondsPerDay*microsPerSecond)
	return TimeDelta{Days: int32(days), Seconds: uint32(rest / microsPerSecond), Micros: uint32(rest % microsPerSecond)}
}

// Duration returns t as a time.Duration. Errors: ErrOutOfRange beyond about 292 years.
func (t TimeDelta) Duration() (time.Duration, error) {
	const maxDays = 106752 // what the largest Duration reaches into
	if t.Days >= -maxDays && t.Days <= maxDays {
		micros := (int64(t.Days)*secondsPerDay+int64(t.Seconds))*microsPerSecond + int64(t.Micros)
		if d := time.Duration(micros) * time.Microsecond; d.Microseconds() == micros {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%w: timedelta of %d days into time.Duration", ErrOutOfRange, t.Days)
}

func (t TimeDelta) check() error {
	if t.Days < -value.MaxDeltaDays || t.Days > value.MaxDeltaDays || t.Seconds >= secondsPerDay ||
		t.Micros >= microsPerSecond {
		return fmt.Errorf(
			"%w: timedelta of %d days, %d seconds, %d microseconds",
			ErrOutOfRange,
			t.Days,
			t.Seconds,
			t.Micros,
		)
	}
	return nil
}

// floorDiv divides rounding down, so that the rest is never negative.
func floorDiv(a, b int64) (quotient, rest int64) {
	quotient, rest = a/b, a%b
	if rest < 0 {
		quotient, rest = quotient-1, rest+b
	}
	return quotient, rest
}
