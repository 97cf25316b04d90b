package pickle

import (
	"errors"
	"fmt"
	"time"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// Times. Readings are packed into bytes: year in two, month, day, hour, minute, second, and
// microseconds in three, big-endian. The highest bit of the month (of a time: of the hour) is fold.

const (
	dateBytes = 4
	timeBytes = 6
	foldBit   = 0x80
)

// packed returns the bytes of a reading, and the zone after it.
func (u *Unpickler) packed(args []ref, size int) (b []byte, zone govalue.Zone, err error) {
	if len(args) == 0 || len(args) > 2 || u.nodes[args[0]].kind != Bytes || int(u.nodes[args[0]].b) != size {
		return nil, zone, errArguments
	}
	if len(args) == 2 {
		n := &u.nodes[args[1]]
		switch n.kind {
		case None:
		case Zone:
			zone = u.zone(n)
		default:
			return nil, zone, fmt.Errorf(
				"a time zone that is %s: only those of a fixed offset (datetime.timezone) are taken",
				n.kind,
			)
		}
	}
	return u.bytes(&u.nodes[args[0]]), zone, nil
}

// zone is what a Zone stands for.
func (g *graph) zone(n *node) govalue.Zone {
	zone := govalue.FixedZone(time.Duration(int64(n.bits)) * time.Microsecond)
	zone.Name = string(g.bytes(n))
	return zone
}

func dateOf(b []byte, month byte) govalue.Date {
	return govalue.Date{Year: int(b[0])<<8 | int(b[1]), Month: time.Month(month), Day: int(b[3])}
}

// clockOf returns the time of the day in six bytes.
func clockOf(b []byte) (time.Duration, error) {
	micros := int(b[3])<<16 | int(b[4])<<8 | int(b[5])
	if b[0] > 23 || b[1] > 59 || b[2] > 59 || micros > 999999 {
		return 0, errors.New("a time that no clock shows")
	}
	return time.Duration(
		b[0],
	)*time.Hour + time.Duration(
		b[1],
	)*time.Minute + time.Duration(
		b[2],
	)*time.Second + time.Duration(
		micros,
	)*time.Microsecond, nil
}

func makeDateTime(u *Unpickler, args []ref) (ref, error) {
	b, zone, err := u.packed(args, dateBytes+timeBytes)
	if err != nil {
		return 0, err
	}
	date := dateOf(b, b[2]&^foldBit)
	clock, err := clockOf(b[dateBytes:])
	if err != nil {
		return 0, err
	}
	day := date.In(time.UTC)
	if govalue.DateOf(day) != date || date.Year < 1 || date.Year > 9999 {
		return 0, errors.New("a date that is in no calendar")
	}
	return u.ready(
		govalue.DateTime{WallMicros: day.UnixMicro() + clock.Microseconds(), Fold: b[2]&foldBit != 0, Zone: zone},
	)
}

func makeDate(u *Unpickler, args []ref) (ref, error) {
	if !u.kindsAre(args, Bytes) || u.nodes[args[0]].b != dateBytes {
		return 0, errArguments
	}
	b := u.bytes(&u.nodes[args[0]])
	return u.ready(dateOf(b, b[2]))
}

func makeTime(u *Unpickler, args []ref) (ref, error) {
	b, zone, err := u.packed(args, timeBytes)
	if err != nil {
		return 0, err
	}
	var packed [timeBytes]byte
	copy(packed[:], b)
	packed[0] &^= foldBit
	clock, err := clockOf(packed[:])
	if err != nil {
		return 0, err
	}
	return u.ready(govalue.Time{SinceMidnight: clock, Fold: b[0]&foldBit != 0, Zone: zone})
}

func makeTimeDelta(u *Unpickler, args []ref) (ref, error) {
	if !u.kindsAre(args, Int, Int, Int) {
		return 0, errArguments
	}
	days, seconds, micros := int64(u.nodes[args[0]].bits), int64(u.nodes[args[1]].bits), int64(u.nodes[args[2]].bits)
	if days != int64(int32(days)) || seconds < 0 || seconds != int64(uint32(seconds)) || micros < 0 ||
		micros != int64(uint32(micros)) {
		return 0, errArguments
	}
	return u.ready(govalue.TimeDelta{Days: int32(days), Seconds: uint32(seconds), Micros: uint32(micros)})
}

// makeZone makes a zone of a fixed offset, with or without a name.
func makeZone(u *Unpickler, args []ref) (ref, error) {
	if len(args) == 0 || len(args) > 2 || u.nodes[args[0]].kind != Encoded ||
		len(args) == 2 && u.nodes[args[1]].kind != Str {
		return 0, errArguments
	}
	v, _, err := govalue.Decode(u.bytes(&u.nodes[args[0]]))
	delta, isDelta := v.(govalue.TimeDelta)
	if err != nil || !isDelta {
		return 0, errArguments
	}
	offset, err := delta.Duration()
	if err != nil || offset.Abs() >= 24*time.Hour {
		return 0, errors.New("an offset of a day or more")
	}
	start := len(u.made)
	switch {
	case len(args) == 2:
		u.made = append(append(u.made, value.PlainZone...), u.bytes(&u.nodes[args[1]])...)
	case offset == 0:
		u.made = append(u.made, "UTC"...)
	}
	at := u.addMade(Zone, start)
	u.nodes[at].bits = uint64(offset.Microseconds())
	return at, nil
}
